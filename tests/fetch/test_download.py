"""Downloads with the credentials that this user has: `.netrc`, and the registry configurations of Docker and Helm."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatekeeper.errors import UsageError
from gatekeeper.fetch import download
from gatekeeper.fetch.lock_update import WantedSource
from gatekeeper.render.helm.chart_requests import build_request
from gatekeeper.sources.source_cache import SourceCache
from tests.conftest import needs
from tests.servers import chart_server
from tests.servers.chart_server import PASSWORD, USER


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # The program is below the cache folder of the real home.
    monkeypatch.setenv("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser()))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("NETRC", "XDG_CONFIG_HOME", "DOCKER_CONFIG", "HELM_REGISTRY_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def fetch(url: str, cache: SourceCache) -> list[tuple[str, str]]:
    request = build_request("helm", url, "web", (("", "1.x"),))
    assert request is not None
    with download.open_downloader(cache) as downloader:
        results = list(downloader([WantedSource(request, None)]))
    return [(one.pin.version if one.pin else "", one.fault) for one in results]


@pytest.fixture
def charts(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "charts"
    folder.mkdir()
    chart_server.pack_chart(folder, "web", "1.0.0", "1.2.0")
    with chart_server.serving(folder) as url:
        yield url


@needs("helm")
def test_a_password_of_netrc_is_used(home: Path, charts: str) -> None:
    cache = SourceCache(home / "sources")
    [(version, fault)] = fetch(charts, cache)
    assert not version and "configure credentials for the host" in fault
    (home / ".netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    (home / ".netrc").chmod(0o600)
    assert fetch(charts, cache) == [("1.2.0", "")]


@needs("helm")
def test_a_password_of_another_host_is_not_sent(home: Path, charts: str) -> None:
    (home / ".netrc").write_text(f"machine charts.example.com login {USER} password {PASSWORD}\ndefault login a\n")
    [(version, fault)] = fetch(charts, SourceCache(home / "sources"))
    assert not version and PASSWORD not in fault


@pytest.mark.parametrize("content", [b"machine a hidden-word", b"\xff\xfe", b"hidden-word"])
def test_a_netrc_that_cannot_be_read_is_refused_without_its_words(home: Path, content: bytes) -> None:
    (home / "own-netrc").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETRC", str(home / "own-netrc"))
        with (
            pytest.raises(UsageError, match="own-netrc") as refused,
            download.open_downloader(SourceCache(home / "sources")),
        ):
            pass
    assert "hidden-word" not in str(refused.value)


def test_registry_configurations_of_helm_and_docker_are_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(download._find_registry_configs()) == []
    files = [home / ".config/helm/registry/config.json", home / ".docker/config.json"]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text("{}")
    assert list(download._find_registry_configs()) == files
    monkeypatch.setenv("HELM_REGISTRY_CONFIG", str(home / "mine.json"))
    (home / "mine.json").write_text("{}")
    assert list(download._find_registry_configs()) == [home / "mine.json", files[1]]
