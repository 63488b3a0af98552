"""`gatekeeper fetch` as a user types it: a chart repository is fetched and locked, and `check` judges what it renders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from gatekeeper.workspace import lockfile
from tests.conftest import Repository, command
from tests.servers.source_server import ServedAnswer, SourceServer, pack_files, publish_charts, serving_sources

SOURCE = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {{name: charts, namespace: shop}}
spec: {{url: "{url}", interval: 1h}}
"""
RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: web, namespace: shop}
spec:
  interval: 1h
  chart:
    spec:
      chart: web
      version: 1.x
      sourceRef: {kind: HelmRepository, name: charts}
  values:
    tag: latest
"""
SETTINGS = "library: {disable: [gitops/insecure-source]}\n"


def chart(version: str, name: str = "web") -> bytes:
    pod = "kind: Pod\napiVersion: v1\nmetadata: {name: web}\nspec: {containers: [{name: web, image: 'web:{{ .Values.tag }}'}]}\n"
    return pack_files(
        {f"{name}/Chart.yaml": f"apiVersion: v2\nname: {name}\nversion: {version}\n", f"{name}/templates/a.yaml": pod}
    )


@pytest.fixture
def charts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SourceServer]:
    monkeypatch.setenv("GATEKEEPER_SOURCES", str(tmp_path / "sources"))
    with serving_sources() as served:
        publish_charts(served, {("web", version): chart(version) for version in ("1.0.0", "1.2.0", "2.0.0")})
        yield served


@pytest.fixture
def root(repository: Repository, charts: SourceServer) -> Path:
    files = {"source.yaml": SOURCE.format(url=charts.url), "release.yaml": RELEASE, "gatekeeper.yaml": SETTINGS}
    return repository({**files})


def read_sources(root: Path) -> dict[str, dict[str, object]]:
    sources: dict[str, dict[str, object]] = orjson.loads((root / lockfile.LOCK_FILE).read_bytes())["sources"]
    return sources


def test_a_chart_is_fetched_locked_and_judged(root: Path, charts: SourceServer) -> None:
    code, out, err = command("check", cwd=root)
    assert code == 0 and "run `gatekeeper fetch`, and commit `gatekeeper.lock`" in out, err
    code, out, err = command("fetch", cwd=root)
    assert (code, err) == (0, "")
    assert f"locked    helm {charts.url} web 1.x: 1.2.0 sha256:" in out
    assert "1 sources, 1 changed in gatekeeper.lock, 0 not fetched" in out
    [pin] = read_sources(root).values()
    assert (pin["version"], pin["url"]) == ("1.2.0", f"{charts.url}/web-1.2.0.tgz")
    assert [request.path for request in charts.requests] == ["/index.yaml", "/web-1.2.0.tgz"]
    # The value of the release makes the image wrong, at its line.
    code, out, err = command("check", cwd=root)
    assert code == 1 and "release.yaml:12:10: error" in out and "images/latest-tag" in out, err
    assert len(charts.requests) == 2


def test_a_second_fetch_makes_no_request(root: Path, charts: SourceServer) -> None:
    command("fetch", cwd=root)
    before = (root / lockfile.LOCK_FILE).read_bytes()
    charts.requests.clear()
    publish_charts(charts, {("web", version): chart(version) for version in ("1.2.0", "1.9.0")})
    code, out, _ = command("fetch", cwd=root)
    assert code == 0 and "1 sources, 0 changed" in out
    assert not charts.requests and (root / lockfile.LOCK_FILE).read_bytes() == before


@pytest.mark.parametrize("names", [[], ["web"], ["http://127.*"]])
def test_an_update_moves_a_pin(root: Path, charts: SourceServer, names: list[str]) -> None:
    command("fetch", cwd=root)
    publish_charts(charts, {("web", version): chart(version) for version in ("1.2.0", "1.9.0", "2.0.0")})
    code, out, err = command("fetch", "--update", *names, cwd=root)
    assert code == 0 and "moved     helm" in out and ": 1.2.0 sha256:" in out and "-> 1.9.0 sha256:" in out, err


def test_an_update_of_another_chart_moves_nothing(root: Path, charts: SourceServer) -> None:
    command("fetch", cwd=root)
    publish_charts(charts, {("web", "1.9.0"): chart("1.9.0")})
    code, _, err = command("fetch", "--update", "web", "db", cwd=root)
    assert code == 2 and "--update db: no source of this repository" in err
    assert [pin["version"] for pin in read_sources(root).values()] == ["1.2.0"]


def test_check_says_what_is_missing_and_unused(root: Path, charts: SourceServer, tmp_path: Path) -> None:
    code, out, _ = command("fetch", "--check", cwd=root)
    assert code == 1 and f"release.yaml:9: not locked: helm {charts.url} web 1.x" in out
    command("fetch", cwd=root)
    charts.requests.clear()
    expected = f"helm {charts.url} web 1.x\n1 sources, all locked and fetched\n"
    assert command("fetch", "--check", cwd=root)[:2] == (0, expected)
    # Another machine has the lock, and not the bytes.
    elsewhere = {**os.environ, "GATEKEEPER_SOURCES": str(tmp_path / "elsewhere")}
    code, out, _ = command("fetch", "--check", cwd=root, env=elsewhere)
    assert code == 3 and "locked, but not fetched on this machine: helm" in out
    (root / "release.yaml").write_text(RELEASE.replace("1.x", "2.x"))
    code, out, _ = command("fetch", "--check", cwd=root)
    assert code == 1 and "web 2.x" in out and f"gatekeeper.lock: not used by any file: helm {charts.url} web 1.x" in out
    assert not charts.requests


def test_another_machine_fetches_the_locked_bytes(root: Path, charts: SourceServer, tmp_path: Path) -> None:
    command("fetch", cwd=root)
    before = (root / lockfile.LOCK_FILE).read_bytes()
    publish_charts(charts, {("web", version): chart(version) for version in ("1.2.0", "1.9.0")})
    elsewhere = {**os.environ, "GATEKEEPER_SOURCES": str(tmp_path / "elsewhere")}
    code, out, err = command("fetch", cwd=root, env=elsewhere)
    assert code == 0 and "fetched   helm" in out, err
    assert (root / lockfile.LOCK_FILE).read_bytes() == before
    assert command("fetch", "--check", cwd=root, env=elsewhere)[0] == 0


def test_bytes_that_are_not_the_locked_ones_are_refused(root: Path, charts: SourceServer, tmp_path: Path) -> None:
    command("fetch", cwd=root)
    charts.answer("/web-1.2.0.tgz", ServedAnswer(chart("1.2.0", "evil")))
    elsewhere = {**os.environ, "GATEKEEPER_SOURCES": str(tmp_path / "elsewhere")}
    code, _, err = command("fetch", cwd=root, env=elsewhere)
    assert code == 3 and "release.yaml:9: helm" in err and "has other bytes than the lock says" in err
    assert not list((tmp_path / "elsewhere").rglob("*.*")), "nothing is kept"


def test_a_source_that_fails_stops_no_other(root: Path, charts: SourceServer) -> None:
    (root / "other.yaml").write_text(
        RELEASE.replace("name: web", "name: db")
        .replace("chart: web", "chart: db")
        .replace("kind: HelmRelease\nmetadata: {name: web", "kind: HelmRelease\nmetadata: {name: db")
    )
    code, out, err = command("fetch", cwd=root)
    assert code == 3 and "other.yaml:9: helm" in err and "db" in err
    assert "locked    helm" in out and "1 not fetched" in out
    assert [pin["version"] for pin in read_sources(root).values()] == ["1.2.0"]
    # What is not locked is not judged.
    code, out, _ = command("check", cwd=root)
    assert code == 3 and "other.yaml: a HelmRelease: its chart is not in `gatekeeper.lock`" in out


def test_a_source_that_no_file_requests_is_dropped(root: Path) -> None:
    command("fetch", cwd=root)
    (root / "release.yaml").unlink()
    code, out, _ = command("fetch", cwd=root)
    assert code == 0 and "removed   helm" in out
    assert read_sources(root) == {}


def test_the_password_in_a_url_is_nowhere(root: Path, charts: SourceServer) -> None:
    url = charts.url.replace("http://", "http://user:a-hidden-word@") + "?token=a-hidden-word"
    (root / "source.yaml").write_text(SOURCE.format(url=url))
    code, out, err = command("fetch", cwd=root)
    assert code == 0, err
    assert "a-hidden-word" not in out + err + (root / lockfile.LOCK_FILE).read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--check", "--update"], "--check changes nothing; remove --update"), (["nowhere"], "no such file or folder")],
)
def test_wrong_usage_is_refused(root: Path, arguments: list[str], message: str) -> None:
    code, _, err = command("fetch", *arguments, cwd=root)
    assert code == 2 and message in err
