"""The download of sources, with the credentials that this user has for their hosts."""

from __future__ import annotations

import netrc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gatekeeper.errors import UsageError
from gatekeeper.fetch.lock_update import Download, DownloadedSource, WantedSource
from gatekeeper.secret_value import SecretBytes
from gatekeeper.sources.model import SourcePin, SourceRequest
from gatekeeper.sources.source_cache import SourceCache
from gatekeeper.upstream.download_requests import (
    ArtifactRequest,
    ChartRequest,
    FetchSettings,
    FileRequest,
    HostCredential,
    Pin,
    SourceEntry,
    SourceResult,
)
from gatekeeper.upstream.downloader import Downloader

# Source: helm.sh/helm/v3/pkg/helmpath; docker/cli `cli/config`.
HELM_REGISTRY_CONFIG = Path("helm", "registry", "config.json")


@contextmanager
def open_downloader(cache: SourceCache) -> Iterator[Download]:
    """A function that downloads sources into a cache; its process ends with the block.

    Raises:
        UsageError: `.netrc` cannot be read.
    """
    settings = FetchSettings(credentials=_read_netrc(), docker_configs=tuple(_find_registry_configs()))
    with Downloader(cache.folder, settings) as downloader:

        def download(wanted: Sequence[WantedSource]) -> Iterator[DownloadedSource]:
            new = [one.request for one in wanted if one.pin is None]
            pinned = [(one.request, one.pin) for one in wanted if one.pin is not None]
            for result in downloader.fetch([_convert_request(request) for request in new]):
                yield _convert_result(new[result.number], result)
            pins = [Pin(_convert_request(request), _convert_pin(pin)) for request, pin in pinned]
            for result in downloader.fetch_pinned(pins):
                yield _convert_result(pinned[result.number][0], result)

        yield download


def _convert_request(request: SourceRequest) -> ChartRequest | ArtifactRequest | FileRequest:
    url, fields = request.url.reveal().decode(), dict(request.reference)
    if request.kind == "file":
        return FileRequest(url)
    if request.kind == "helm":
        return ChartRequest(url, request.chart, fields.get("", ""), request.rule, request.passes_credentials)
    return ArtifactRequest(
        url,
        tag=fields.get("tag", ""),
        semver=fields.get("semver", ""),
        semver_filter=fields.get("semverFilter", ""),
        digest=fields.get("digest", ""),
        media_type=request.layer[0],
        operation=request.layer[1],
    )


def _convert_pin(pin: SourcePin) -> SourceEntry:
    return SourceEntry(pin.version, pin.url, pin.digest, pin.manifest, pin.size)


def _convert_result(request: SourceRequest, result: SourceResult) -> DownloadedSource:
    entry, fault = result.entry, result.fault
    if entry is None:
        return DownloadedSource(request, None, fault.message if fault else "not found")
    pin = SourcePin(entry.version, entry.url, entry.digest, entry.manifest, entry.size)
    return DownloadedSource(request, pin)


def _read_netrc() -> tuple[HostCredential, ...]:
    """The passwords of `.netrc`, or of the file that the environment variable NETRC names.

    Source: GNU Inetutils, "The .netrc file"; curl and Git read it, too.
    """
    path = Path(os.environ.get("NETRC") or Path("~/.netrc").expanduser())
    try:
        hosts = netrc.netrc(path).hosts if path.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read; correct it, or name another file in NETRC") from error
    except netrc.NetrcParseError as error:
        # The words of the error contain parts of the file.
        raise UsageError(f"{path}:{error.lineno}: not a valid .netrc file; correct it") from None
    return tuple(
        HostCredential(host, username=login, password=SecretBytes((password or "").encode()))
        for host, (login, _, password) in hosts.items()
        if host != "default"
    )


def _find_registry_configs() -> Iterator[Path]:
    """The files with credentials for registries that `helm registry login` and `docker login` write."""
    configured = os.environ.get("HELM_REGISTRY_CONFIG")
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser())
    docker = Path(os.environ.get("DOCKER_CONFIG") or Path("~/.docker").expanduser())
    for path in (Path(configured) if configured else home / HELM_REGISTRY_CONFIG, docker / "config.json"):
        if path.is_file():
            yield path
