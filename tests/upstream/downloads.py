"""Single downloads, and what they must lead to."""

from __future__ import annotations

import base64
from pathlib import Path

from gatekeeper.upstream.download_requests import FetchSettings, Pin, SourceEntry, SourceRequest, SourceResult
from gatekeeper.upstream.downloader import Downloader
from tests.servers.registry_server import PASSWORD, USER

DEFAULTS = FetchSettings()


def fetch_one(store: Path, request: SourceRequest, settings: FetchSettings = DEFAULTS) -> SourceResult:
    with Downloader(store, settings, 60) as downloader:
        [result] = downloader.fetch([request])
    return result


def fetch_pinned(store: Path, pin: Pin, settings: FetchSettings = DEFAULTS) -> SourceResult:
    with Downloader(store, settings, 60) as downloader:
        [result] = downloader.fetch_pinned([pin])
    return result


def probe(store: Path, pin: Pin, settings: FetchSettings = DEFAULTS) -> SourceResult:
    with Downloader(store, settings, 60) as downloader:
        [result] = downloader.probe([pin])
    return result


def found(result: SourceResult) -> SourceEntry:
    assert result.entry is not None, result.fault
    return result.entry


def reason(result: SourceResult) -> str:
    """The reason of a fault, of which the message has no secret and no text of a server."""
    assert result.fault is not None, result.entry
    for secret in (PASSWORD, "secret", base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()):
        assert secret not in result.fault.message
    return result.fault.reason


def stored(store: Path) -> list[Path]:
    return [path for path in store.rglob("*") if path.is_file()]
