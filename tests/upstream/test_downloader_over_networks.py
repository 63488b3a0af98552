"""Downloads through TLS and proxies, and what they refuse on the way."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatekeeper.secret_value import SecretBytes
from gatekeeper.sources.source_cache import get_cache_path
from gatekeeper.upstream.download_requests import (
    ArtifactRequest,
    ChartRequest,
    FetchSettings,
    FileRequest,
    HostCredential,
)
from gatekeeper.upstream.downloader import Downloader
from tests.servers.certificates import CertificateAuthority
from tests.servers.registry_server import PASSWORD, USER
from tests.servers.source_server import ServedAnswer, SourceServer, digest_of, pack_archive, serving_sources
from tests.upstream.downloads import fetch_one, found, reason, stored

pytestmark = pytest.mark.usefixtures("program")
FILE = ServedAnswer(b"kind: A\n")
# A public address, which is reached through a proxy of the test only.
PUBLIC = "http://203.0.112.7"


@pytest.fixture(name="authority", scope="module")
def _authority() -> CertificateAuthority:
    return CertificateAuthority()


@pytest.fixture(name="proxy")
def _proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[SourceServer]:
    """A server that gets the requests for all hosts that are not on this machine."""
    with serving_sources() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "no_proxy", "https_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", proxy.url)
        yield proxy


def test_a_private_ca_must_be_configured(authority: CertificateAuthority, tmp_path: Path) -> None:
    with serving_sources(authority.issue().create_server_context(tmp_path)) as server:
        server.answer("/a", FILE)
        host, request = server.url.removeprefix("https://"), FileRequest(f"{server.url}/a")
        assert reason(fetch_one(tmp_path / "store", request)) == "certificate"
        trusting = FetchSettings((HostCredential(host, ca=authority.certificate),))
        assert found(fetch_one(tmp_path / "store", request, trusting)).digest == digest_of(FILE.body)
        broken = FetchSettings((HostCredential(host, ca="secret, no certificate"),))
        assert reason(fetch_one(tmp_path / "store", request, broken)) == "credentials"
        # A registry without the setting for plain HTTP is reached with TLS, too.
        artifact = ArtifactRequest(f"oci://{host}/a")
        assert reason(fetch_one(tmp_path / "store", artifact)) == "certificate"
        assert reason(fetch_one(tmp_path / "store", artifact, trusting)) == "missing"


def test_an_expired_certificate_is_refused(authority: CertificateAuthority, tmp_path: Path) -> None:
    with serving_sources(authority.issue(-1).create_server_context(tmp_path)) as server:
        server.answer("/a", FILE)
        settings = FetchSettings((HostCredential("127.0.0.1", ca=authority.certificate),))
        assert reason(fetch_one(tmp_path / "store", FileRequest(f"{server.url}/a"), settings)) == "certificate"


def test_a_client_certificate_is_sent(authority: CertificateAuthority, tmp_path: Path) -> None:
    context = authority.issue().create_server_context(tmp_path, authority.certificate)
    client = authority.issue()
    with serving_sources(context) as server:
        server.answer("/a", FILE)
        host = HostCredential(server.url.removeprefix("https://"), ca=authority.certificate)
        request, store = FileRequest(f"{server.url}/a"), tmp_path / "store"
        assert reason(fetch_one(store, request, FetchSettings((host,)))) in ("unreachable", "certificate")
        full = host._replace(certificate=client.certificate, key=SecretBytes(client.key.encode()))
        assert found(fetch_one(store, request, FetchSettings((full,)))).digest == digest_of(FILE.body)
        torn = full._replace(key=SecretBytes(b"secret"))
        assert reason(fetch_one(store, request, FetchSettings((torn,)))) == "credentials"


def test_a_redirect_from_https_to_http_is_refused(authority: CertificateAuthority, tmp_path: Path) -> None:
    context = authority.issue().create_server_context(tmp_path)
    with serving_sources(context) as server, serving_sources() as plain:
        plain.answer("/a", FILE)
        server.answer("/a", ServedAnswer(b"", 302, {"Location": f"{plain.url}/a"}))
        settings = FetchSettings((HostCredential("127.0.0.1", ca=authority.certificate),))
        assert reason(fetch_one(tmp_path / "store", FileRequest(f"{server.url}/a"), settings)) == "redirect"
        assert plain.requests == []


def test_credentials_do_not_travel_without_tls_where_the_repository_has_it(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    context, archive = authority.issue().create_server_context(tmp_path), pack_archive("web", "1.0.0")
    with serving_sources(context) as server, serving_sources() as plain:
        entry = {"name": "web", "version": "1.0.0", "urls": [f"{plain.url}/web.tgz"]}
        index = json.dumps({"apiVersion": "v1", "entries": {"web": [entry]}})
        server.answer("/index.yaml", ServedAnswer(index.encode()))
        plain.answer("/web.tgz", ServedAnswer(archive))
        host = HostCredential("127.0.0.1", USER, SecretBytes(PASSWORD.encode()), ca=authority.certificate)
        request = ChartRequest(server.url, "web", passes_credentials=True)
        assert found(fetch_one(tmp_path / "store", request, FetchSettings((host,)))).digest == digest_of(archive)
        assert [one.authorization for one in plain.requests] == [""]
        assert server.requests[0].authorization


def test_a_proxy_of_the_environment_is_used(
    proxy: SourceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url in ("http://charts.invalid/a", "http://192.0.2.7/a"):
        proxy.answer(url, FILE)
        assert found(fetch_one(tmp_path, FileRequest(url))).url == url
    assert len(proxy.requests) == 2
    # An exception by the end of a name, and one by a network, of which the addresses are reserved for documentation.
    monkeypatch.setenv("NO_PROXY", "192.0.2.0/24,.invalid")
    for url in ("http://charts.invalid/a", "http://192.0.2.7/a"):
        with Downloader(tmp_path, FetchSettings(), 2) as downloader:
            [result] = downloader.fetch([FileRequest(url)])
        assert result.fault is not None
    assert len(proxy.requests) == 2


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[::ffff:a9fe:a9fe]", "[64:ff9b::7f00:1]", "10.0.0.1", "127.0.0.1"]
)
def test_a_redirect_to_an_address_that_is_not_public_is_refused(proxy: SourceServer, tmp_path: Path, host: str) -> None:
    proxy.answer(f"{PUBLIC}/a", FILE)
    proxy.answer(f"{PUBLIC}/b", ServedAnswer(b"", 302, {"Location": f"http://{host}/secret"}))
    settings = FetchSettings(forbids_private_addresses=True)
    assert found(fetch_one(tmp_path, FileRequest(f"{PUBLIC}/a"), settings)).size == len(FILE.body)
    assert reason(fetch_one(tmp_path, FileRequest(f"{PUBLIC}/b"), settings)) == "refused-address"
    assert [request.path for request in proxy.requests] == [f"{PUBLIC}/a", f"{PUBLIC}/b"]


def fetch_charts(store: str, url: str, versions: list[str]) -> list[str]:
    """For a process of its own: the digests of charts."""
    with Downloader(Path(store), FetchSettings()) as downloader:
        requests = [ChartRequest(url, "web", version) for version in versions]
        return [found(result).digest for result in sorted(downloader.fetch(requests))]


def test_processes_share_a_store(tmp_path: Path) -> None:
    versions = [f"1.0.{number}" for number in range(20)]
    archives = [pack_archive("web", version) for version in versions]
    entries = [{"name": "web", "version": version, "urls": [f"{version}.tgz"]} for version in versions]
    with serving_sources() as server:
        server.answer(
            "/index.yaml", ServedAnswer(json.dumps({"apiVersion": "v1", "entries": {"web": entries}}).encode())
        )
        for version, archive in zip(versions, archives, strict=True):
            server.answer(f"/{version}.tgz", ServedAnswer(archive))
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            arguments = [(str(tmp_path), server.url, versions)] * 2
            digests = pool.starmap(fetch_charts, arguments)
    assert digests == [[digest_of(archive) for archive in archives]] * 2
    assert sorted(stored(tmp_path)) == sorted(tmp_path / get_cache_path(digest) for digest in digests[0])


def test_an_interrupted_download_leaves_nothing_in_the_store(tmp_path: Path) -> None:
    archive = pack_archive("web", "1.0.0")
    with serving_sources() as server, Downloader(tmp_path, FetchSettings(), 60) as downloader:
        server.answer("/a", ServedAnswer(archive[:20], length=-1, is_endless=True), ServedAnswer(b"a"))
        results = downloader.fetch([FileRequest(f"{server.url}/a"), FileRequest(f"{server.url}/b")])
        assert reason(next(results)) == "missing"
        downloader.close()
        assert reason(next(results)) == "failed"
    assert not any(path.parent != tmp_path for path in stored(tmp_path))


def test_credentials_are_in_no_argument_and_no_environment_of_the_process(tmp_path: Path) -> None:
    settings = FetchSettings((HostCredential("127.0.0.1", USER, SecretBytes(PASSWORD.encode())),))
    with serving_sources() as server, Downloader(tmp_path, settings) as downloader:
        server.answer("/a", FILE)
        [result] = downloader.fetch([FileRequest(f"{server.url}/a")])
        assert found(result).size == len(FILE.body) and server.requests[0].authorization
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    content = (process / name).read_bytes()
                except OSError:
                    continue
                assert PASSWORD.encode() not in content
