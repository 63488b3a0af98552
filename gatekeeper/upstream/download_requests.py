"""Requests for downloads and their results, and how they are written for the program that downloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gatekeeper.named_tuple import NamedTuple
from gatekeeper.secret_value import SecretBytes

_NO_SECRET = SecretBytes(b"")


class HostCredential(NamedTuple):
    """What a host demands, and how it is reached.

    Attributes:
        host: a host, with a port (`charts.example:8443`) or for all its ports.
        token: sent as a bearer token in place of a name and a password.
        ca: a certificate (PEM) that is trusted beside those of the system.
        certificate: that of the client (PEM), with its `key` (PEM).
        is_plain: whether a registry is reached without TLS.
    """

    host: str
    username: str = ""
    password: SecretBytes = _NO_SECRET
    token: SecretBytes = _NO_SECRET
    ca: str = ""
    certificate: str = ""
    key: SecretBytes = _NO_SECRET
    is_plain: bool = False


class SourceMirror(NamedTuple):
    """A mirror for all addresses below a prefix; the longest prefix counts.

    Attributes:
        prefix, target: addresses, such as `https://charts.example` or `oci://registry.example/charts`.
        falls_back: whether the origin is asked where the mirror has nothing.
    """

    prefix: str
    target: str
    falls_back: bool = False


class FetchSettings(NamedTuple):
    """Settings of all downloads.

    Attributes:
        docker_configs: files with credentials for registries as `docker login` and `helm registry login` write them.
        forbids_private_addresses: whether only public addresses may be reached, also after redirects.
        max_index_bytes, max_file_bytes: 0 for 100 MB.
    """

    credentials: tuple[HostCredential, ...] = ()
    docker_configs: tuple[Path, ...] = ()
    mirrors: tuple[SourceMirror, ...] = ()
    forbids_private_addresses: bool = False
    max_index_bytes: int = 0
    max_file_bytes: int = 0


class ChartRequest(NamedTuple):
    """A chart of a chart repository over HTTP, or of a registry.

    Attributes:
        url: the address of the repository, without the chart: `https://…`, `http://…` or `oci://…`.
        version: an exact version, or a range; empty for the latest stable one.
        rule: who chooses the version: `flux`, `helm` or `argocd`.
        passes_credentials: whether charts at other hosts get the credentials of the repository.
    """

    url: str
    chart: str
    version: str = ""
    rule: str = "flux"
    passes_credentials: bool = False


class ArtifactRequest(NamedTuple):
    """What an OCIRepository refers to: the digest, or else the highest tag in a range, or else the tag, or `latest`.

    Attributes:
        url: `oci://HOST/PATH`.
        semver_filter: a regular expression that tags must match before they are compared.
        media_type: that of the layer; empty for that of a chart, or else the first layer.
    """

    url: str
    tag: str = ""
    semver: str = ""
    semver_filter: str = ""
    digest: str = ""
    media_type: str = ""
    operation: str = ""


class FileRequest(NamedTuple):
    """One file by its address."""

    url: str


SourceRequest = ChartRequest | ArtifactRequest | FileRequest


class SourceEntry(NamedTuple):
    """What was found for a request.

    Attributes:
        version: the version of a chart, or the tag of an artifact; empty for a file.
        url: the address at the origin, without user, password and query.
        digest: `sha256:` and the digest of the bytes in the store.
        manifest: the digest of the OCI manifest; empty where there is none.
        size: in bytes.
        is_deprecated: whether the index calls the version deprecated.
        has_moved_tag: whether the request names a tag besides its digest, and the tag leads to another manifest.
    """

    version: str
    url: str
    digest: str
    manifest: str = ""
    size: int = 0
    is_deprecated: bool = False
    has_moved_tag: bool = False


class SourceFault(NamedTuple):
    """Why a source cannot be had.

    Attributes:
        reason: a word such as `unauthorized`, `missing` or `digest-mismatch`.
        message: one sentence without secrets and without words of a server.
    """

    reason: str
    message: str


class SourceResult(NamedTuple):
    """The entry of a request, or the fault that prevents one.

    Attributes:
        number: that of the request, from 0.
        has_moved: of a probe: whether the version or tag of a pin leads to another digest or manifest, that of `entry`.
    """

    number: int
    entry: SourceEntry | None
    fault: SourceFault | None
    has_moved: bool = False


class Pin(NamedTuple):
    """A request, and the entry that was found for it earlier."""

    request: SourceRequest
    entry: SourceEntry


def encode_settings(settings: FetchSettings) -> dict[str, Any]:
    """Settings as the program reads them; they contain secrets."""
    return {
        "credentials": [_encode_credential(one) for one in settings.credentials],
        "dockerConfigs": [str(path.absolute()) for path in settings.docker_configs],
        "mirrors": [
            {"prefix": one.prefix, "target": one.target, "fallback": one.falls_back} for one in settings.mirrors
        ],
        "forbidsPrivateAddresses": settings.forbids_private_addresses,
        "maxIndexBytes": settings.max_index_bytes,
        "maxFileBytes": settings.max_file_bytes,
    }


def _encode_credential(one: HostCredential) -> dict[str, Any]:
    return {
        "host": one.host,
        "username": one.username,
        "password": one.password.reveal().decode("utf-8", "replace"),
        "token": one.token.reveal().decode("utf-8", "replace"),
        "ca": one.ca,
        "certificate": one.certificate,
        "key": one.key.reveal().decode("utf-8", "replace"),
        "plainHttp": one.is_plain,
    }


def encode_request(request: SourceRequest) -> dict[str, Any]:
    """A request as the program reads it."""
    if isinstance(request, FileRequest):
        return {"kind": "file", "url": request.url}
    if isinstance(request, ChartRequest):
        return {
            "kind": "helm",
            "url": request.url,
            "chart": request.chart,
            "range": request.version,
            "rule": request.rule,
            "passCredentials": request.passes_credentials,
        }
    return {
        "kind": "oci",
        "url": request.url,
        "tag": request.tag,
        "semver": request.semver,
        "semverFilter": request.semver_filter,
        "digest": request.digest,
        "mediaType": request.media_type,
        "operation": request.operation,
    }


def encode_pin(pin: Pin) -> dict[str, Any]:
    """A request and its entry as the program reads them."""
    entry: dict[str, Any] = {"version": pin.entry.version, "url": pin.entry.url, "digest": pin.entry.digest}
    entry |= {"manifest": pin.entry.manifest, "size": pin.entry.size, "deprecated": pin.entry.is_deprecated}
    return {**encode_request(pin.request), "entry": entry}


def decode_result(number: int, answer: dict[str, Any]) -> SourceResult:
    """The result in an answer of the program; an error of Python if the answer has another form."""
    if fault := answer.get("fault"):
        return SourceResult(number, None, SourceFault(fault["reason"], fault["message"]))
    fields = answer["entry"]
    entry = SourceEntry(
        fields["version"],
        fields["url"],
        fields["digest"],
        fields.get("manifest", ""),
        fields["size"],
        is_deprecated=fields.get("deprecated", False),
        has_moved_tag=fields.get("movedTag", False),
    )
    return SourceResult(number, entry, None, answer.get("moved", False))
