"""Downloads of charts and files from servers that answer rightly, wrongly, and not at all."""

from __future__ import annotations

import base64
import gzip
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatekeeper.errors import ToolError
from gatekeeper.secret_value import SecretBytes
from gatekeeper.sources.source_cache import get_cache_path
from gatekeeper.upstream.download_requests import (
    ChartRequest,
    FetchSettings,
    FileRequest,
    HostCredential,
    Pin,
    SourceEntry,
    SourceMirror,
    SourceRequest,
)
from gatekeeper.upstream.downloader import Downloader
from tests.servers.registry_server import PASSWORD, USER
from tests.servers.source_server import ServedAnswer, SourceServer, digest_of, pack_archive, serving_sources
from tests.upstream.downloads import fetch_one, fetch_pinned, found, probe, reason, stored

pytestmark = pytest.mark.usefixtures("program")


@pytest.fixture(name="server")
def _server() -> Iterator[SourceServer]:
    with serving_sources() as server:
        yield server


@pytest.fixture(name="other")
def _other() -> Iterator[SourceServer]:
    with serving_sources() as server:
        yield server


def serve_charts(server: SourceServer, *versions: str, base: str = "/charts", **fields: Any) -> dict[str, bytes]:
    """Serves versions of the chart `web` with an index of relative addresses."""
    archives = {version: pack_archive("web", version) for version in versions}
    entries = []
    for version, archive in archives.items():
        server.answer(f"{base}/web-{version}.tgz", ServedAnswer(archive))
        entry = {"name": "web", "version": version, "urls": [f"web-{version}.tgz"], "digest": digest_of(archive)[7:]}
        entries.append({**entry, **fields})
    serve_index(server, entries, base)
    return archives


def serve_index(server: SourceServer, entries: list[dict[str, Any]], base: str = "/charts") -> None:
    text = yaml.safe_dump({"apiVersion": "v1", "entries": {"web": entries}})
    server.answer(f"{base}/index.yaml", ServedAnswer(text.encode()))


def basic_credential(server: SourceServer) -> FetchSettings:
    host = server.url.removeprefix("http://")
    return FetchSettings((HostCredential(host, USER, SecretBytes(PASSWORD.encode())),))


def test_a_chart_is_downloaded_once_into_the_store(server: SourceServer, tmp_path: Path) -> None:
    archives = serve_charts(server, "1.0.0", "1.2.0", "2.0.0-rc.1")
    with Downloader(tmp_path / "store", FetchSettings()) as downloader:
        requests = [ChartRequest(f"{server.url}/charts/", "web", version) for version in ("1.0.0", "^1.0.0", "")]
        entries = {result.number: found(result) for result in downloader.fetch(requests)}
    assert entries == {
        number: SourceEntry(
            version, f"{server.url}/charts/web-{version}.tgz", digest_of(archives[version]), "", len(archives[version])
        )
        for number, version in enumerate(("1.0.0", "1.2.0", "1.2.0"))
    }
    # Each index is read once.
    assert server.count("/charts/index.yaml") == 1
    path = tmp_path / "store" / get_cache_path(entries[1].digest)
    assert path.read_bytes() == archives["1.2.0"]
    assert path.stat().st_mode & 0o777 == 0o444
    assert sorted(stored(tmp_path / "store")) == sorted(
        tmp_path / "store" / get_cache_path(digest_of(archives[version])) for version in ("1.0.0", "1.2.0")
    )


@pytest.mark.parametrize(
    ("rule", "version", "expected"),
    [
        ("flux", "4", "4.1.1"),
        ("flux", "4.1", "4.1.1"),
        ("flux", "~4.0", "4.0.2"),
        ("flux", ">4.0.1", "4.1.1"),
        ("flux", ">=4.0.0 <4.1.0", "4.0.2"),
        ("flux", "*", "4.1.1"),
        ("flux", ">=4.0.0-0", "5.0.0-beta.1"),
        ("flux", "3.x || 4.0.x", "4.0.2"),
        # A version without three numbers is found by its text only.
        ("flux", "1.2", "1.2"),
        ("flux", "~1.2", None),
        ("helm", "~1.2", "1.2"),
        ("argocd", "~1.2", "1.2"),
        ("helm", "4", "4.1.1"),
        ("argocd", "4.0.x", "4.0.2"),
        ("argocd", "4.0.2", "4.0.2"),
        ("flux", "9", None),
        ("flux", "not a range", None),
    ],
)
def test_a_range_means_what_its_owner_takes(
    server: SourceServer, tmp_path: Path, rule: str, version: str, expected: str | None
) -> None:
    serve_charts(server, "4.0.2", "1.2", "4.1.1", "5.0.0-beta.1", "4.0.0")
    result = fetch_one(tmp_path, ChartRequest(f"{server.url}/charts", "web", version, rule))
    if expected is None:
        assert reason(result) == "no-version"
    else:
        assert found(result).version == expected


def test_of_equal_versions_flux_takes_that_which_was_created_last(server: SourceServer, tmp_path: Path) -> None:
    archives = {build: pack_archive("web", f"1.0.0+{build}") for build in "ab"}
    entries = []
    for build, year in (("a", 2026), ("b", 2025)):
        server.answer(f"/charts/{build}.tgz", ServedAnswer(archives[build]))
        created = f"{year}-01-01T00:00:00Z"
        entries.append({"name": "web", "version": f"1.0.0+{build}", "urls": [f"{build}.tgz"], "created": created})
    serve_index(server, entries)
    assert found(fetch_one(tmp_path, ChartRequest(f"{server.url}/charts", "web", "1.x"))).version == "1.0.0+a"


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("web.tgz", "/a/charts/web.tgz"),
        ("../web.tgz", "/a/web.tgz"),
        ("/web.tgz", "/web.tgz"),
        ("{server}/b/web.tgz?key=secret-of-the-chart", "/b/web.tgz?key=secret-of-the-chart"),
    ],
)
def test_addresses_of_charts_are_resolved(server: SourceServer, tmp_path: Path, address: str, path: str) -> None:
    server.answer(path, ServedAnswer(pack_archive("web", "1.0.0")))
    urls = [address.format(server=server.url), "http://unused.invalid/web.tgz"]
    serve_index(server, [{"name": "web", "version": "1.0.0", "urls": urls}], "/a/charts")
    entry = found(fetch_one(tmp_path, ChartRequest(f"{server.url}/a/charts", "web")))
    assert entry.url == server.url + path.partition("?")[0]


def test_a_query_and_a_user_of_the_repository_are_used_but_not_shown(server: SourceServer, tmp_path: Path) -> None:
    archive = pack_archive("web", "1.0.0")
    text = yaml.safe_dump(
        {"apiVersion": "v1", "entries": {"web": [{"name": "web", "version": "1.0.0", "urls": ["w.tgz"]}]}}
    )
    server.answer("/charts/index.yaml?key=secret", ServedAnswer(text.encode()))
    server.answer("/charts/w.tgz?key=secret", ServedAnswer(archive))
    url = f"{server.url}/charts?key=secret".replace("http://", f"http://{USER}:{PASSWORD}@")
    request = ChartRequest(url, "web")
    entry = found(fetch_one(tmp_path, request))
    assert entry.url == f"{server.url}/charts/w.tgz"
    expected = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
    assert {one.authorization for one in server.requests} == {expected}
    assert found(fetch_pinned(tmp_path / "second", Pin(request, entry))).digest == digest_of(archive)


@pytest.mark.parametrize("prefix", ["", "sha256:"])
def test_bytes_other_than_the_index_says_are_refused(server: SourceServer, tmp_path: Path, prefix: str) -> None:
    serve_charts(server, "1.0.0", digest=f"{prefix}{'0' * 64}")
    assert reason(fetch_one(tmp_path, ChartRequest(f"{server.url}/charts", "web"))) == "digest-mismatch"
    assert stored(tmp_path) == []


def test_a_digest_is_optional_and_may_have_a_prefix(server: SourceServer, tmp_path: Path) -> None:
    archive = pack_archive("web", "1.0.0")
    for digest in ("", digest_of(archive)):
        serve_charts(server, "1.0.0", digest=digest)
        assert found(fetch_one(tmp_path, ChartRequest(f"{server.url}/charts", "web"))).digest == digest_of(archive)


def test_broken_entries_are_dropped_and_deprecated_ones_are_marked(server: SourceServer, tmp_path: Path) -> None:
    archive = pack_archive("web", "1.0.0")
    server.answer("/charts/web.tgz", ServedAnswer(archive))
    entry = {"name": "web", "version": "1.0.0", "urls": ["web.tgz"], "deprecated": True}
    serve_index(server, [{"name": "web", "version": "broken"}, {"version": "3.0.0"}, entry])
    assert found(fetch_one(tmp_path, ChartRequest(f"{server.url}/charts", "web"))).is_deprecated


@pytest.mark.parametrize("is_named", [True, False])
def test_an_index_may_be_compressed(server: SourceServer, tmp_path: Path, is_named: bool) -> None:
    serve_charts(server, "1.0.0")
    text = gzip.compress(server.take("/charts/index.yaml", "").body)
    server.answer("/charts/index.yaml", ServedAnswer(text, headers={"Content-Encoding": "gzip"} if is_named else {}))
    assert found(fetch_one(tmp_path, ChartRequest(f"{server.url}/charts", "web"))).version == "1.0.0"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ServedAnswer(b"secret", 401), "unauthorized"),
        (ServedAnswer(b"secret", 403), "forbidden"),
        (ServedAnswer(b"secret", 404), "missing"),
        (ServedAnswer(b"secret", 429, {"Retry-After": "3600"}), "rate-limited"),
        (ServedAnswer(b"secret", 429, {"Retry-After": "0"}), "rate-limited"),
        (ServedAnswer(b"secret", 500), "server"),
        (ServedAnswer(b"secret", 418), "server"),
        (ServedAnswer(b"<!DOCTYPE html><html>secret</html>"), "garbage"),
        (ServedAnswer(b'{"error": "secret"}'), "garbage"),
        (ServedAnswer(bytes(range(256))), "garbage"),
        (ServedAnswer(b""), "garbage"),
        (ServedAnswer(b"apiVersion: v1\nentries:\n  web:\n  - {name: secret\n"), "garbage"),
        (ServedAnswer(b"apiVersion: v1\nentries: {}\n"), "missing"),
        (ServedAnswer(b"apiVersion: v1\n", length=1000), "truncated"),
        (ServedAnswer(b"x", length=20 * 2**30), "too-large"),
        (ServedAnswer(b"apiVersion: v1\n# " + b"x" * 2**16, length=-1, is_endless=True), "too-large"),
        (ServedAnswer(gzip.compress(b"#" * 2**24, mtime=0)), "too-large"),
        (ServedAnswer(b"", 302, {"Location": "/charts/index.yaml"}), "redirect"),
        (ServedAnswer(b"", 302, {"Location": "file:///etc/passwd"}), "redirect"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.status}-{value.body[:8]!r}-{value.length}",
)
def test_an_index_that_cannot_be_had_is_a_fault(
    server: SourceServer, tmp_path: Path, answer: ServedAnswer, expected: str
) -> None:
    server.answer("/charts/index.yaml", answer)
    settings = basic_credential(server)._replace(max_index_bytes=2**20)
    with Downloader(tmp_path, settings, 60) as downloader:
        requests = [ChartRequest(f"{server.url}/charts", name) for name in ("web", "web")]
        assert [reason(result) for result in downloader.fetch(requests)] == [expected, expected]
    assert stored(tmp_path) == []
    if answer.status in (401, 403, 404, 418):
        assert server.count("/charts/index.yaml") == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ServedAnswer(b"<html>secret</html>"), "garbage"),
        (ServedAnswer(pack_archive("web", "1.0.0")[:-20], length=-1), "truncated"),
        (ServedAnswer(pack_archive("web", "1.0.0")[:-20], length=1000), "truncated"),
        (ServedAnswer(b"\x1f\x8b" + b"x" * 100), "garbage"),
        (ServedAnswer(b"x", length=20 * 2**30), "too-large"),
        (ServedAnswer(b"x" * 2**16, length=-1, is_endless=True), "too-large"),
        (ServedAnswer(b"secret", 404), "missing"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.status}-{value.body[:8]!r}-{value.length}",
)
def test_a_chart_that_cannot_be_had_is_a_fault(
    server: SourceServer, tmp_path: Path, answer: ServedAnswer, expected: str
) -> None:
    serve_charts(server, "1.0.0", digest="")
    server.answer("/charts/web-1.0.0.tgz", answer)
    request = ChartRequest(f"{server.url}/charts", "web")
    assert reason(fetch_one(tmp_path, request, FetchSettings(max_file_bytes=2**20))) == expected
    assert stored(tmp_path) == []


@pytest.mark.parametrize("failure", [ServedAnswer(b"", 503), ServedAnswer(b"", 429, {"Retry-After": "1"})])
def test_a_failure_that_passes_is_overcome(server: SourceServer, tmp_path: Path, failure: ServedAnswer) -> None:
    archive = serve_charts(server, "1.0.0")["1.0.0"]
    server.answer("/charts/web-1.0.0.tgz", failure, ServedAnswer(archive))
    assert found(fetch_one(tmp_path, ChartRequest(f"{server.url}/charts", "web"))).digest == digest_of(archive)
    assert server.count("/charts/web-1.0.0.tgz") == 2


def test_a_download_that_breaks_off_is_repeated(server: SourceServer, tmp_path: Path) -> None:
    archive = serve_charts(server, "1.0.0")["1.0.0"]
    broken = ServedAnswer(archive[:50], length=len(archive))
    server.answer("/charts/web-1.0.0.tgz", broken, ServedAnswer(archive))
    assert found(fetch_one(tmp_path, ChartRequest(f"{server.url}/charts", "web"))).digest == digest_of(archive)


def test_credentials_are_not_sent_to_another_host(server: SourceServer, other: SourceServer, tmp_path: Path) -> None:
    archive = serve_charts(server, "1.0.0", urls=[f"{other.url}/web.tgz"])["1.0.0"]
    other.answer("/web.tgz", ServedAnswer(archive))
    request = ChartRequest(f"{server.url}/charts", "web")
    assert found(fetch_one(tmp_path / "a", request, basic_credential(server))).digest == digest_of(archive)
    assert [one.authorization for one in other.requests] == [""]
    assert server.requests[0].authorization
    passing = request._replace(passes_credentials=True)
    found(fetch_one(tmp_path / "b", passing, basic_credential(server)))
    assert other.requests[1].authorization == server.requests[0].authorization


def test_a_redirect_gets_no_credentials_at_another_host(
    server: SourceServer, other: SourceServer, tmp_path: Path
) -> None:
    archive = serve_charts(server, "1.0.0")["1.0.0"]
    moved = ServedAnswer(b"", 302, {"Location": f"{other.url}/web.tgz?signature=secret"})
    server.answer("/charts/web-1.0.0.tgz", moved)
    other.answer("/web.tgz?signature=secret", ServedAnswer(archive))
    request = ChartRequest(f"{server.url}/charts", "web", passes_credentials=True)
    entry = found(fetch_one(tmp_path / "a", request, basic_credential(server)))
    assert entry.url == f"{server.url}/charts/web-1.0.0.tgz"
    other.answer("/web.tgz?signature=secret", ServedAnswer(b"", 401))
    assert reason(fetch_one(tmp_path / "b", request, basic_credential(server))) == "redirect"
    assert {one.authorization for one in other.requests} == {""}


def test_a_bearer_token_is_sent(server: SourceServer, tmp_path: Path) -> None:
    serve_charts(server, "1.0.0")
    token = HostCredential(server.url.removeprefix("http://"), token=SecretBytes(b"a-token"))
    found(fetch_one(tmp_path, ChartRequest(f"{server.url}/charts", "web"), FetchSettings((token,))))
    assert {one.authorization for one in server.requests} == {"Bearer a-token"}


def test_a_file_is_downloaded(server: SourceServer, tmp_path: Path) -> None:
    server.answer("/a.yaml?ref=main", ServedAnswer(b"kind: A\n"))
    server.answer("/page", ServedAnswer(b"\n<!doctype html><html>"))
    entry = found(fetch_one(tmp_path, FileRequest(f"{server.url}/a.yaml?ref=main")))
    assert entry == SourceEntry("", f"{server.url}/a.yaml", digest_of(b"kind: A\n"), "", 8)
    assert reason(fetch_one(tmp_path, FileRequest(f"{server.url}/page"))) == "garbage"


def test_a_compression_that_the_server_names_is_undone(server: SourceServer, tmp_path: Path) -> None:
    content = b"kind: A\n"
    request = FileRequest(f"{server.url}/a.yaml")
    server.answer("/a.yaml", ServedAnswer(gzip.compress(content), headers={"Content-Encoding": "gzip"}))
    entry = found(fetch_one(tmp_path / "a", request))
    assert entry.digest == digest_of(content)
    assert found(fetch_pinned(tmp_path / "b", Pin(request, entry))) == entry
    assert not probe(tmp_path / "b", Pin(request, entry)).has_moved
    server.answer("/a.yaml", ServedAnswer(content, headers={"Content-Encoding": "gzip"}))
    assert reason(fetch_one(tmp_path / "c", request)) == "garbage"
    bomb = ServedAnswer(gzip.compress(b"#" * 2**24), headers={"Content-Encoding": "gzip"})
    server.answer("/a.yaml", bomb)
    assert reason(fetch_one(tmp_path / "c", request, FetchSettings(max_file_bytes=2**20))) == "too-large"


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ext::sh", "ftp://a/b", "--upload-pack=x", "", "http:///x", "http://[::1", "https:x"]
)
def test_addresses_that_are_no_network_addresses_are_refused(tmp_path: Path, url: str) -> None:
    for request in (FileRequest(url), ChartRequest(url, "web")):
        assert reason(fetch_one(tmp_path, request)) == "refused-address"


def test_what_cannot_be_reached_is_a_fault(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        assert reason(fetch_one(tmp_path, FileRequest(f"http://127.0.0.1:{port}/a"))) == "unreachable"


def test_a_server_that_does_not_answer_is_a_fault(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with Downloader(tmp_path, FetchSettings(), 1) as downloader:
            [result] = downloader.fetch([FileRequest(f"http://127.0.0.1:{silent.getsockname()[1]}/a")])
    assert reason(result) == "timeout"


def test_addresses_that_are_not_public_can_be_refused(server: SourceServer, tmp_path: Path) -> None:
    server.answer("/a", ServedAnswer(b"a"))
    port = server.url.rpartition(":")[2]
    settings = FetchSettings(forbids_private_addresses=True)
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "169.254.169.254", "[fd00:ec2::254]"):
        assert reason(fetch_one(tmp_path, FileRequest(f"http://{host}:{port}/a"), settings)) == "refused-address"
    assert server.requests == []


def test_a_pin_is_downloaded_exactly(server: SourceServer, tmp_path: Path) -> None:
    archive = serve_charts(server, "1.0.0")["1.0.0"]
    request = ChartRequest(f"{server.url}/charts", "web")
    entry = found(fetch_one(tmp_path, request))
    path = tmp_path / get_cache_path(entry.digest)
    count = len(server.requests)
    assert fetch_pinned(tmp_path, Pin(request, entry)).entry == entry
    assert len(server.requests) == count
    # One flipped bit.
    path.chmod(0o644)
    path.write_bytes(bytes([archive[0] ^ 1]) + archive[1:])
    assert fetch_pinned(tmp_path, Pin(request, entry)).entry == entry
    assert path.read_bytes() == archive
    path.unlink()
    server.answer("/charts/web-1.0.0.tgz", ServedAnswer(pack_archive("web", "1.0.0", "other")))
    assert reason(fetch_pinned(tmp_path, Pin(request, entry))) == "digest-mismatch"
    assert stored(tmp_path) == []


def test_a_pin_whose_address_has_changed_is_found_in_the_index(server: SourceServer, tmp_path: Path) -> None:
    archive = serve_charts(server, "1.0.0")["1.0.0"]
    request = ChartRequest(f"{server.url}/charts", "web")
    entry = found(fetch_one(tmp_path / "a", request))
    server.answer("/charts/web-1.0.0.tgz", ServedAnswer(b"", 404))
    server.answer("/new/web.tgz", ServedAnswer(archive))
    serve_index(server, [{"name": "web", "version": "1.0.0", "urls": ["/new/web.tgz"]}])
    assert found(fetch_pinned(tmp_path / "b", Pin(request, entry))).digest == entry.digest


@pytest.mark.parametrize("has_digest", [True, False])
def test_a_probe_tells_whether_a_version_has_other_bytes(
    server: SourceServer, tmp_path: Path, has_digest: bool
) -> None:
    fields = {} if has_digest else {"digest": ""}
    serve_charts(server, "1.0.0", "1.1.0", **fields)
    request = ChartRequest(f"{server.url}/charts", "web", "1.0.0")
    pin = Pin(request, found(fetch_one(tmp_path / "a", request)))
    same = probe(tmp_path / "b", pin)
    assert (same.entry, same.has_moved) == (pin.entry, False)
    other = pack_archive("web", "1.0.0", "other")
    server.answer("/charts/web-1.0.0.tgz", ServedAnswer(other))
    digest = {"digest": digest_of(other)} if has_digest else {}
    entry = {"name": "web", "version": "1.0.0", "urls": ["web-1.0.0.tgz"], "deprecated": True, **digest}
    serve_index(server, [entry])
    moved = probe(tmp_path / "b", pin)
    assert moved.has_moved and found(moved).digest == digest_of(other) and found(moved).is_deprecated
    serve_charts(server, "1.1.0")
    assert reason(probe(tmp_path / "b", pin)) == "missing"
    assert stored(tmp_path / "b") == []


def test_a_probe_tells_whether_a_file_has_changed(server: SourceServer, tmp_path: Path) -> None:
    server.answer("/a.yaml", ServedAnswer(b"a: 1"))
    request = FileRequest(f"{server.url}/a.yaml")
    pin = Pin(request, found(fetch_one(tmp_path, request)))
    assert not probe(tmp_path, pin).has_moved
    server.answer("/a.yaml", ServedAnswer(b"a: 2"))
    result = probe(tmp_path, pin)
    assert result.has_moved and found(result).digest == digest_of(b"a: 2")
    assert stored(tmp_path) == [tmp_path / get_cache_path(pin.entry.digest)]


def test_a_mirror_takes_the_place_of_the_origin(server: SourceServer, other: SourceServer, tmp_path: Path) -> None:
    archive = serve_charts(server, "1.0.0", base="/proxy/charts")["1.0.0"]
    mirrors = (
        SourceMirror(f"{other.url}/charts", f"{server.url}/proxy/charts"),
        SourceMirror(other.url, "http://unused.invalid"),
    )
    request = ChartRequest(f"{other.url}/charts", "web")
    entry = found(fetch_one(tmp_path / "a", request, FetchSettings(mirrors=mirrors)))
    assert entry.url == f"{other.url}/charts/web-1.0.0.tgz"
    assert other.requests == []
    # Other bytes at the mirror are refused, and the origin is asked only where that is allowed.
    server.answer("/proxy/charts/web-1.0.0.tgz", ServedAnswer(b"", 404))
    other.answer("/charts/web-1.0.0.tgz", ServedAnswer(archive))
    pin = Pin(request, entry)
    assert reason(fetch_pinned(tmp_path / "b", pin, FetchSettings(mirrors=mirrors[:1]))) == "missing"
    falling = FetchSettings(mirrors=(mirrors[0]._replace(falls_back=True),))
    assert found(fetch_pinned(tmp_path / "b", pin, falling)).digest == entry.digest
    server.answer("/proxy/charts/web-1.0.0.tgz", ServedAnswer(pack_archive("web", "1.0.0", "other")))
    assert reason(fetch_pinned(tmp_path / "c", pin, FetchSettings(mirrors=mirrors[:1]))) == "digest-mismatch"


def test_one_source_that_fails_stops_no_other(server: SourceServer, tmp_path: Path) -> None:
    serve_charts(server, "1.0.0")
    chart, missing = ChartRequest(f"{server.url}/charts", "web"), FileRequest(f"{server.url}/missing")
    requests: list[SourceRequest] = [chart, missing] * 10
    with Downloader(tmp_path, FetchSettings()) as downloader:
        results = sorted(downloader.fetch(requests))
    assert [result.number for result in results] == list(range(20))
    assert all((result.fault is None) == (result.number % 2 == 0) for result in results)


def test_a_store_that_cannot_be_written_is_a_fault(server: SourceServer, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    serve_charts(server, "1.0.0")
    (tmp_path / "sha256").mkdir()
    tmp_path.chmod(0o555)
    try:
        assert reason(fetch_one(tmp_path, ChartRequest(f"{server.url}/charts", "web"))) == "store"
    finally:
        tmp_path.chmod(0o755)


def test_nothing_is_started_without_requests(tmp_path: Path) -> None:
    with Downloader(tmp_path / "store", FetchSettings()) as downloader:
        assert list(downloader.fetch([])) == []
    assert not (tmp_path / "store").exists()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        Downloader(tmp_path / "file" / "store", FetchSettings()) as downloader,
        pytest.raises(ToolError, match=r"store for downloads cannot be created: Not a directory"),
    ):
        list(downloader.fetch([FileRequest("http://127.0.0.1/")]))
