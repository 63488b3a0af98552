"""The update of a lock: what is fetched, kept, moved and dropped. The downloads are those of a cache on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gatekeeper.config import Config
from gatekeeper.fetch import lock_update
from gatekeeper.fetch.lock_update import Download, DownloadedSource, LockUpdate, WantedSource
from gatekeeper.sources.model import LockedSources, SourcePin, SourceRequest
from gatekeeper.sources.source_cache import SourceCache
from tests.conftest import Repository
from tests.servers.source_server import pack_files

SOURCE = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: charts, namespace: shop}
spec: {url: "https://charts.example.com", interval: 1h}
"""
RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: NAME, namespace: shop}
spec:
  interval: 1h
  chart: {spec: {chart: NAME, version: 1.x, sourceRef: {kind: HelmRepository, name: charts}}}
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SourceCache:
    monkeypatch.setenv("GATEKEEPER_SOURCES", str(tmp_path / "sources"))
    return SourceCache(tmp_path / "sources")


def offer(cache: SourceCache, charts: dict[str, bytes]) -> Download:
    """Downloads of charts from memory; others are missing."""

    def download(wanted: Sequence[WantedSource]) -> Iterator[DownloadedSource]:
        for one in wanted:
            archive = charts.get(one.request.chart)
            if archive is None:
                yield DownloadedSource(one.request, None, "not found")
            else:
                yield DownloadedSource(one.request, SourcePin("1.0.0", one.request.address, cache.add(archive)))

    return download


def chart(name: str, template: str = "") -> bytes:
    files = {
        f"{name}/Chart.yaml": f"apiVersion: v2\nname: {name}\nversion: 1.0.0\n",
        f"{name}/templates/a.yaml": template,
    }
    return pack_files(files)


def write(repository: Repository, *names: str) -> Path:
    return repository({"source.yaml": SOURCE, **{f"{name}.yaml": RELEASE.replace("NAME", name) for name in names}})


def key(name: str) -> str:
    return f"helm https://charts.example.com {name} 1.x"


def update(root: Path, cache: SourceCache, charts: dict[str, bytes], pins: dict[str, SourcePin]) -> LockUpdate:
    config = Config(sources=LockedSources(pins, is_locked=True))
    return lock_update.fetch_sources(root, config, cache, offer(cache, charts))


def test_a_failed_source_keeps_its_pin_and_drops_none(
    repository: Repository, cache: SourceCache, tmp_path: Path
) -> None:
    elsewhere = SourceCache(tmp_path / "elsewhere")
    pins = {
        key(name): SourcePin("1.0.0", "https://charts.example.com", elsewhere.add(chart(name)))
        for name in ("web", "old")
    }
    result = update(write(repository, "web"), cache, {}, pins)
    assert [fault.key for fault in result.faults] == [key("web")]
    # What the missing chart would request is unknown.
    assert result.pins == pins and not result.changes


def test_an_unused_pin_is_dropped(repository: Repository, cache: SourceCache) -> None:
    pins = {
        key(name): SourcePin("1.0.0", "https://charts.example.com", cache.add(chart(name))) for name in ("web", "old")
    }
    result = update(write(repository, "web"), cache, {}, pins)
    assert list(result.pins) == [key("web")]
    assert [(change.key, change.after) for change in result.changes] == [(key("old"), None)]


def test_only_matching_sources_move(repository: Repository, cache: SourceCache) -> None:
    root = write(repository, "web", "db")
    first = update(root, cache, {"web": chart("web"), "db": chart("db")}, {})
    newer = {"web": chart("web", "# new"), "db": chart("db", "# new")}

    def is_moved(_: str, request: SourceRequest) -> bool:
        return request.chart == "db"

    config = Config(sources=LockedSources(first.pins, is_locked=True))
    result = lock_update.fetch_sources(root, config, cache, offer(cache, newer), is_moved)
    assert [(change.key, change.before is not None) for change in result.changes] == [(key("db"), True)]
    assert result.pins[key("web")] == first.pins[key("web")]
