"""Downloads of charts and artifacts from a real registry, and from servers that answer as registries should not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.secret_value import SecretBytes
from gatekeeper.sources.source_cache import get_cache_path
from gatekeeper.upstream.download_requests import (
    ArtifactRequest,
    ChartRequest,
    FetchSettings,
    HostCredential,
    Pin,
    SourceEntry,
    SourceMirror,
)
from gatekeeper.upstream.downloader import Downloader
from tests.servers.registry_server import (
    FLUX_CONFIG,
    FLUX_CONTENT,
    HELM_CHART,
    HELM_CONFIG,
    HELM_PROVENANCE,
    MANIFEST,
    PASSWORD,
    USER,
    Registry,
    running_registry,
    running_token_registry,
)
from tests.servers.source_server import ServedAnswer, SourceServer, digest_of, pack_archive, serving_sources
from tests.upstream.downloads import fetch_one, fetch_pinned, found, probe, reason, stored

pytestmark = pytest.mark.usefixtures("program")


@pytest.fixture(name="registry", scope="module")
def _registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(name="server")
def _server() -> Iterator[SourceServer]:
    with serving_sources() as server:
        yield server


def settings_of(host: str, password: str = PASSWORD) -> FetchSettings:
    return FetchSettings((HostCredential(host, USER, SecretBytes(password.encode()), is_plain=True),))


def push_charts(registry: Registry, repository: str, *versions: str) -> dict[str, tuple[bytes, str]]:
    """Pushes charts as Helm does: the archives and the digests of their manifests by version."""
    pushed = {}
    for version in versions:
        archive = pack_archive(repository.rpartition("/")[2], version.replace("_", "+"))
        pushed[version] = archive, registry.push(repository, version, [(HELM_CHART, archive)])
    return pushed


@pytest.mark.parametrize(
    ("rule", "version", "expected"),
    [
        ("flux", "1.0.0", "1.0.0"),
        ("flux", "1.0.0+b", "1.0.0+b"),
        ("flux", "1.x", "1.2.0"),
        ("flux", "", "1.2.0"),
        ("flux", ">=1.0.0-0", "2.0.0-rc.1"),
        # Tags with a leading `v` are invisible to ranges, but exact ones are found.
        ("flux", "3.x", None),
        ("flux", "v3.0.0", "v3.0.0"),
        # A range for Flux, and a tag for Helm.
        ("flux", "1.2", "1.2.0"),
        ("helm", "1.2", "1.2"),
        ("helm", "^1.0.0", "1.2.0"),
        ("helm", "3.x", None),
        ("argocd", "3.x", "v3.0.0"),
        ("argocd", "1.0.0", "1.0.0"),
        ("flux", "not a range", None),
    ],
)
def test_the_version_of_a_chart_is_chosen_as_its_owner_does(
    registry: Registry, tmp_path: Path, rule: str, version: str, expected: str | None
) -> None:
    tags = ("1.0.0", "1.2.0", "1.0.0_b", "2.0.0-rc.1", "v3.0.0", "1.2", "latest")
    pushed = push_charts(registry, "charts/web", *tags)
    request = ChartRequest(f"oci://{registry.host}/charts", "web", version, rule)
    result = fetch_one(tmp_path, request, settings_of(registry.host))
    if expected is None:
        assert reason(result) == "no-version"
        return
    archive, manifest = pushed[expected.replace("+", "_")]
    url = f"oci://{registry.host}/charts/web"
    assert result.entry == SourceEntry(expected, url, digest_of(archive), manifest, len(archive))
    assert (tmp_path / get_cache_path(digest_of(archive))).read_bytes() == archive


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tag": "v1.0.0"}, "v1.0.0"),
        ({}, "latest"),
        ({"semver": "1.x"}, "v1.1.0"),
        ({"semver": "1.x", "tag": "latest"}, "v1.1.0"),
        ({"semver": "*", "semver_filter": r"^v1\.0\."}, "v1.0.0"),
        ({"semver": "9.x"}, "no-version"),
        ({"semver": "broken range"}, "no-version"),
        ({"semver": "1.x", "semver_filter": "("}, "no-version"),
        ({"tag": "missing"}, "missing"),
        ({"tag": f"v1.0.0@sha256:{'0' * 64}"}, "refused-address"),
        ({"tag": "a tag"}, "refused-address"),
        ({"digest": "sha256:123"}, "refused-address"),
        ({"digest": f"sha256:{'0' * 64}"}, "missing"),
        ({"media_type": "text/other"}, "missing"),
    ],
)
def test_the_reference_of_an_artifact_is_chosen_as_flux_does(
    registry: Registry, tmp_path: Path, fields: dict[str, str], expected: str
) -> None:
    contents = {tag: pack_archive("flux", tag) for tag in ("v1.0.0", "v1.1.0", "latest")}
    for tag, content in contents.items():
        registry.push("flux/app", tag, [(FLUX_CONTENT, content)], FLUX_CONFIG)
    request = ArtifactRequest(f"oci://{registry.host}/flux/app", **fields)
    result = fetch_one(tmp_path, request, settings_of(registry.host))
    if expected in contents:
        entry = found(result)
        assert (entry.version, entry.digest) == (expected, digest_of(contents[expected]))
    else:
        assert reason(result) == expected


def test_a_digest_precedes_a_tag_and_their_difference_is_told(registry: Registry, tmp_path: Path) -> None:
    content = pack_archive("flux", "1")
    first = registry.push("flux/moved", "a", [(FLUX_CONTENT, content)], FLUX_CONFIG)
    registry.push("flux/moved", "b", [(FLUX_CONTENT, pack_archive("flux", "2"))], FLUX_CONFIG)
    url = f"oci://{registry.host}/flux/moved"
    for tag, moved in (("a", False), ("b", True), ("", False)):
        request = ArtifactRequest(url, tag=tag, digest=first)
        entry = found(fetch_one(tmp_path, request, settings_of(registry.host)))
        assert entry == SourceEntry(tag, url, digest_of(content), first, len(content), has_moved_tag=moved)


def test_the_layer_is_chosen_by_its_type(registry: Registry, tmp_path: Path) -> None:
    archive, old, other = (pack_archive("web", version) for version in ("1.0.0", "2.0.0", "3.0.0"))
    registry.push("layers/web", "1.0.0", [(HELM_PROVENANCE, b"signed"), (HELM_CHART, archive)])
    registry.push("layers/web", "2.0.0", [(HELM_PROVENANCE, b"signed"), ("application/tar+gzip", old)])
    registry.push("layers/web", "3.0.0", [("text/plain", b"a"), ("text/other", other)], "text/config")
    settings = settings_of(registry.host)
    chart, artifact = ChartRequest(f"oci://{registry.host}/layers", "web"), f"oci://{registry.host}/layers/web"
    for version, content in (("1.0.0", archive), ("2.0.0", old)):
        for request in (chart._replace(version=version), ArtifactRequest(artifact, tag=version)):
            assert found(fetch_one(tmp_path, request, settings)).digest == digest_of(content)
    assert reason(fetch_one(tmp_path, chart._replace(version="3.0.0"), settings)) == "garbage"
    assert found(fetch_one(tmp_path, ArtifactRequest(artifact, "3.0.0"), settings)).digest == digest_of(b"a")
    chosen = ArtifactRequest(artifact, "3.0.0", media_type="text/other")
    assert found(fetch_one(tmp_path, chosen, settings)).digest == digest_of(other)


def test_an_index_of_manifests_must_have_one_only(registry: Registry, tmp_path: Path) -> None:
    pushed = push_charts(registry, "indexes/web", "1.0.0", "1.1.0")
    digests = [digest for _, digest in pushed.values()]
    registry.push_index("indexes/web", "2.0.0", digests)
    registry.push_index("indexes/web", "3.0.0", digests[:1])
    chart = ChartRequest(f"oci://{registry.host}/indexes", "web", "2.0.0")
    assert reason(fetch_one(tmp_path, chart, settings_of(registry.host))) == "ambiguous"
    entry = found(fetch_one(tmp_path, chart._replace(version="3.0.0"), settings_of(registry.host)))
    assert (entry.digest, entry.manifest) == (digest_of(pushed["1.0.0"][0]), digests[0])


def test_a_registry_refuses_wrong_and_missing_credentials(registry: Registry, tmp_path: Path) -> None:
    push_charts(registry, "charts/web", "1.0.0")
    chart = ChartRequest(f"oci://{registry.host}/charts", "web", "1.0.0")
    assert reason(fetch_one(tmp_path, chart, settings_of(registry.host, "secret-but-wrong"))) == "unauthorized"
    anonymous = FetchSettings((HostCredential(registry.host, is_plain=True),))
    assert reason(fetch_one(tmp_path, chart, anonymous)) == "unauthorized"
    # Without the setting a registry must have TLS.
    assert reason(fetch_one(tmp_path, chart)) in ("certificate", "unreachable")


def write_docker_config(folder: Path, config: dict[str, Any]) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    return path


def test_credentials_come_from_a_docker_configuration(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, _ = push_charts(registry, "charts/web", "1.0.0")["1.0.0"]
    chart = ChartRequest(f"oci://{registry.host}/charts", "web", "1.0.0")
    plain = (HostCredential(registry.host, is_plain=True),)
    auths = {"auths": {registry.host: {"username": USER, "password": PASSWORD}}}
    settings = FetchSettings(plain, (write_docker_config(tmp_path, auths),))
    assert found(fetch_one(tmp_path / "a", chart, settings)).digest == digest_of(archive)
    helper = tmp_path / "docker-credential-test"
    helper.write_text(f'#!/bin/sh\ncat >/dev/null\necho \'{{"Username": "{USER}", "Secret": "{PASSWORD}"}}\'\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    write_docker_config(tmp_path, {"credHelpers": {registry.host: "test"}})
    assert found(fetch_one(tmp_path / "b", chart, settings)).digest == digest_of(archive)
    helper.write_text("#!/bin/sh\necho secret; echo secret >&2; exit 1\n")
    assert reason(fetch_one(tmp_path / "c", chart, settings)) == "credentials"
    (tmp_path / "config.json").write_text("secret, no JSON")
    assert reason(fetch_one(tmp_path / "d", chart, settings)) == "credentials"


def test_a_registry_with_tokens_is_asked_for_one_per_repository(tmp_path: Path) -> None:
    with running_token_registry(tmp_path) as (registry, service):
        for name in ("web", "app"):
            push_charts(registry, f"charts/{name}", "1.0.0", "1.1.0")
        requests = [
            ChartRequest(f"oci://{registry.host}/charts", name, version)
            for name in ("web", "app")
            for version in ("1.0.0", "1.1.0", "1.x")
        ]
        with Downloader(tmp_path / "store", settings_of(registry.host)) as downloader:
            results = list(downloader.fetch(requests))
        assert {result.number: found(result).version for result in results} == dict(
            enumerate(["1.0.0", "1.1.0", "1.1.0"] * 2)
        )
        assert set(service.scopes) == {"repository:charts/web:pull", "repository:charts/app:pull"}
        wrong = settings_of(registry.host, "secret-but-wrong")
        assert reason(fetch_one(tmp_path / "b", requests[0], wrong)) == "unauthorized"


def test_a_token_that_ends_is_replaced(server: SourceServer, tmp_path: Path) -> None:
    serve_artifact(server, ARCHIVE, "1.0.0")
    challenge = f'Bearer realm="{server.url}/token",service="s",scope="repository:charts/web:pull"'
    denied = ServedAnswer(b"{}", 401, {"WWW-Authenticate": challenge})
    tags = ServedAnswer(b'{"name": "charts/web", "tags": ["1.0.0"]}')
    manifest = server.take("/v2/charts/web/manifests/1.0.0", "")
    server.answer("/v2/charts/web/tags/list", denied, tags)
    server.answer("/v2/charts/web/manifests/1.0.0", denied, manifest)
    tokens = [ServedAnswer(json.dumps({"token": f"token-{number}"}).encode()) for number in range(3)]
    server.answer("/token?scope=repository%3Acharts%2Fweb%3Apull&service=s", *tokens)
    host = server.url.removeprefix("http://")
    request = ChartRequest(f"oci://{host}/charts", "web", "1.x")
    assert found(fetch_one(tmp_path, request, settings_of(host))).digest == digest_of(ARCHIVE)
    sent = [one.authorization for one in server.requests if "/manifests/" in one.path][1:]
    assert sent == ["Bearer token-0", "Bearer token-1"]


def test_a_pin_holds_the_manifest_when_its_tag_moves(registry: Registry, tmp_path: Path) -> None:
    archive, manifest = push_charts(registry, "pins/web", "1.0.0")["1.0.0"]
    request = ChartRequest(f"oci://{registry.host}/pins", "web", "1.0.0")
    settings = settings_of(registry.host)
    entry = found(fetch_one(tmp_path / "a", request, settings))
    registry.push("pins/web", "1.0.0", [(HELM_CHART, pack_archive("web", "1.0.0", "other"))])
    assert fetch_pinned(tmp_path / "b", Pin(request, entry), settings).entry == entry
    assert (tmp_path / "b" / get_cache_path(entry.digest)).read_bytes() == archive
    assert found(fetch_one(tmp_path / "c", request, settings)).manifest != manifest
    wrong = entry._replace(digest=f"sha256:{'0' * 64}")
    assert reason(fetch_pinned(tmp_path / "d", Pin(request, wrong), settings)) == "digest-mismatch"
    for broken in (entry._replace(digest="none"), entry._replace(manifest="none")):
        assert reason(fetch_pinned(tmp_path / "d", Pin(request, broken), settings)) == "garbage"


def test_a_probe_tells_whether_a_tag_has_moved(registry: Registry, tmp_path: Path) -> None:
    archive, manifest = push_charts(registry, "probes/web", "1.0.0_b")["1.0.0_b"]
    chart = ChartRequest(f"oci://{registry.host}/probes", "web", "1.0.0+b")
    artifact = ArtifactRequest(f"oci://{registry.host}/probes/web", semver="1.x", tag="1.0.0_b")
    pinned = ArtifactRequest(artifact.url, digest=manifest)
    settings = settings_of(registry.host)
    entry = found(fetch_one(tmp_path, chart, settings))
    pins = [Pin(chart, entry), Pin(artifact, entry), Pin(pinned, entry._replace(version=""))]
    assert not any(probe(tmp_path, pin, settings).has_moved for pin in pins)
    # The same bytes in another manifest.
    again = registry.push("probes/web", "1.0.0_b", [(HELM_PROVENANCE, b"signed"), (HELM_CHART, archive)])
    results = [probe(tmp_path, pin, settings) for pin in pins]
    assert [result.has_moved for result in results] == [True, True, False]
    assert found(results[0]) == entry._replace(manifest=again)


def test_a_mirror_of_a_registry_may_have_another_path(registry: Registry, tmp_path: Path) -> None:
    archive, _ = push_charts(registry, "proxy/origin.invalid/charts/web", "1.0.0")["1.0.0"]
    mirrors = (SourceMirror("oci://origin.invalid", f"oci://{registry.host}/proxy/origin.invalid"),)
    request = ChartRequest("oci://origin.invalid/charts", "web", "1.x")
    settings = settings_of(registry.host)._replace(mirrors=mirrors)
    entry = found(fetch_one(tmp_path, request, settings))
    assert (entry.url, entry.digest) == ("oci://origin.invalid/charts/web", digest_of(archive))


def test_an_index_may_name_a_chart_in_a_registry(registry: Registry, server: SourceServer, tmp_path: Path) -> None:
    archive, _ = push_charts(registry, "charts/web", "1.0.0")["1.0.0"]
    for tag in (":1.0.0", ""):
        entry = {"name": "web", "version": "1.0.0", "urls": [f"oci://{registry.host}/charts/web{tag}"]}
        index = json.dumps({"apiVersion": "v1", "entries": {"web": [entry]}})
        server.answer("/index.yaml", ServedAnswer(index.encode()))
        result = fetch_one(tmp_path, ChartRequest(server.url, "web"), settings_of(registry.host))
        assert (found(result).version, found(result).digest) == ("1.0.0", digest_of(archive))


def test_tags_in_pages_are_all_read(server: SourceServer, tmp_path: Path) -> None:
    archive = pack_archive("web", "1.5.0")
    serve_artifact(server, archive, "1.5.0")
    first, second = ({"name": "web", "tags": tags} for tags in (["1.0.0"], ["1.5.0"]))
    link = {"Link": '</v2/charts/web/tags/list?last=1.0.0&n=1>; rel="next"'}
    server.answer("/v2/charts/web/tags/list", ServedAnswer(json.dumps(first).encode(), headers=link))
    server.answer("/v2/charts/web/tags/list?last=1.0.0&n=1", ServedAnswer(json.dumps(second).encode()))
    host = server.url.removeprefix("http://")
    request = ChartRequest(f"oci://{host}/charts", "web", "1.x")
    assert found(fetch_one(tmp_path, request, settings_of(host))).version == "1.5.0"


def serve_artifact(server: SourceServer, archive: bytes, tag: str, size: int = 0) -> None:
    """Answers as a registry with one chart does."""
    layer = {"mediaType": HELM_CHART, "digest": digest_of(archive), "size": size or len(archive)}
    config = {"mediaType": HELM_CONFIG, "digest": digest_of(b"{}"), "size": 2}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}).encode()
    headers = {"Content-Type": MANIFEST, "Docker-Content-Digest": digest_of(manifest)}
    server.answer(f"/v2/charts/web/manifests/{tag}", ServedAnswer(manifest, headers=headers))
    server.answer(f"/v2/charts/web/blobs/{digest_of(archive)}", ServedAnswer(archive))


ARCHIVE = pack_archive("web", "1.0.0")
PAGE = ServedAnswer(b"<html>secret</html>", headers={"Content-Type": "text/html"})
WRONG_MANIFEST = ServedAnswer(
    b"secret", headers={"Content-Type": MANIFEST, "Docker-Content-Digest": f"sha256:{'0' * 64}"}
)


@pytest.mark.parametrize("path", ["tags/list", "manifests/1.0.0", f"blobs/{digest_of(ARCHIVE)}"])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ServedAnswer(b"secret", 401), ("unauthorized",)),
        (ServedAnswer(b'{"errors": [{"code": "DENIED", "message": "secret"}]}', 403), ("forbidden",)),
        (ServedAnswer(b"secret", 404), ("missing",)),
        (ServedAnswer(b"secret", 429, {"Retry-After": "3600"}), ("rate-limited",)),
        (ServedAnswer(b"secret", 500), ("server",)),
        (
            PAGE,
            (
                "garbage",
                "digest-mismatch",
            ),
        ),
        (
            WRONG_MANIFEST,
            (
                "garbage",
                "digest-mismatch",
            ),
        ),
        (
            ServedAnswer(b"sec", length=1000),
            (
                "garbage",
                "truncated",
            ),
        ),
        (ServedAnswer(b"", 302, {"Location": "/v2/loop"}), ("redirect",)),
    ],
    ids=str,
)
def test_a_registry_that_answers_wrongly_is_a_fault(
    server: SourceServer, tmp_path: Path, path: str, answer: ServedAnswer, expected: tuple[str, ...]
) -> None:
    serve_artifact(server, ARCHIVE, "1.0.0")
    server.answer("/v2/charts/web/tags/list", ServedAnswer(b'{"name": "charts/web", "tags": ["1.0.0"]}'))
    server.answer("/v2/loop", ServedAnswer(b"", 302, {"Location": "/v2/loop"}))
    server.answer(f"/v2/charts/web/{path}", answer)
    host = server.url.removeprefix("http://")
    request = ChartRequest(f"oci://{host}/charts", "web", "1.x")
    assert reason(fetch_one(tmp_path, request, settings_of(host))) in expected
    assert stored(tmp_path) == []


@pytest.mark.parametrize("endless", [True, False])
def test_a_layer_that_is_too_large_is_refused(server: SourceServer, tmp_path: Path, endless: bool) -> None:
    host = server.url.removeprefix("http://")
    request = ChartRequest(f"oci://{host}/charts", "web", "1.0.0")
    settings = settings_of(host)._replace(max_file_bytes=2**20)
    serve_artifact(server, ARCHIVE, "1.0.0", 0 if endless else 20 * 2**30)
    if endless:
        body = ServedAnswer(ARCHIVE, length=-1, is_endless=True)
        server.answer(f"/v2/charts/web/blobs/{digest_of(ARCHIVE)}", body)
    assert reason(fetch_one(tmp_path, request, settings)) == ("digest-mismatch" if endless else "too-large")


@pytest.mark.parametrize("url", ["oci://host", "oci://host/a:1.0.0", "oci://host/A B", "oci:a/b", "https://host/a"])
def test_addresses_that_are_none_of_a_repository_are_refused(tmp_path: Path, url: str) -> None:
    assert reason(fetch_one(tmp_path, ArtifactRequest(url))) == "refused-address"
