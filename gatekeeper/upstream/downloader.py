"""Downloads of what a repository refers to (charts, OCI artifacts, files) into a content-addressed store.

A process of its own downloads: it may open connections and write into the store, and does nothing else. Credentials
reach it through its input only. The store has one read-only file for each content, `sha256/ab/abcdef…`.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from gatekeeper.errors import ToolError
from gatekeeper.upstream.answers import decode_answer
from gatekeeper.upstream.client import UpstreamClient, get_program_path, get_program_version
from gatekeeper.upstream.download_requests import (
    FetchSettings,
    Pin,
    SourceFault,
    SourceRequest,
    SourceResult,
    decode_result,
    encode_pin,
    encode_request,
    encode_settings,
)
from gatekeeper.upstream.surroundings import Surroundings
from gatekeeper.upstream.worker import UpstreamWorker

DOWNLOAD_SECONDS = 600.0
CONFIGURE_SECONDS = 30.0
# The program has as many requests under way.
MAX_DOWNLOADS = 16
# What the process gets of the environment: proxies, certificates, and what credential helpers of Docker need.
ENVIRONMENT = (
    *("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "HOME", "DOCKER_CONFIG", "PATH"),
)


class Downloader:
    """Downloads into a store, with a process that is started on first use; for any number of threads.

    Args:
        store: its folder, which is created.
        seconds: for one source.
    """

    def __init__(self, store: Path, settings: FetchSettings, seconds: float = DOWNLOAD_SECONDS) -> None:
        self._store, self._settings, self._seconds = store, encode_settings(settings), seconds
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        surroundings = Surroundings((f"-fetch={store.absolute()}",), environment)
        self._client = UpstreamClient(get_program_path, get_program_version(), surroundings=surroundings)
        self._configured: weakref.WeakSet[UpstreamWorker] = weakref.WeakSet()
        self._lock, self._is_closed = threading.Lock(), False

    def __enter__(self) -> Downloader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process; downloads that are under way fail."""
        self._is_closed = True
        self._client.close()

    def fetch(self, requests: Sequence[SourceRequest]) -> Iterator[SourceResult]:
        """The results of requests, each as soon as it is complete.

        Raises:
            ToolError: the program or the store cannot be used.
        """
        return self._run("fetch-source", [encode_request(request) for request in requests])

    def fetch_pinned(self, pins: Sequence[Pin]) -> Iterator[SourceResult]:
        """Downloads exactly what entries pin, unless the store has it; results come as soon as they are there.

        Raises:
            ToolError: the program or the store cannot be used.
        """
        return self._run("fetch-pinned", [encode_pin(pin) for pin in pins])

    def probe(self, pins: Sequence[Pin]) -> Iterator[SourceResult]:
        """Whether versions and tags still lead to what entries pin; the store does not change.

        Raises:
            ToolError: the program or the store cannot be used.
        """
        return self._run("fetch-probe", [encode_pin(pin) for pin in pins])

    def _run(self, name: str, payloads: Sequence[dict[str, Any]]) -> Iterator[SourceResult]:
        """The results of calls, in the order in which they end.

        Raises:
            ToolError: the program cannot be used, or the store cannot be created.
        """
        if not payloads:
            return
        try:
            self._store.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or error
            raise ToolError(f"the folder {self._store} for downloads cannot be created: {reason}") from error
        # An error in starting the program concerns all sources, an error of a call only its own.
        self._configure(self._client.get_worker())
        pool = ThreadPoolExecutor(min(MAX_DOWNLOADS, len(payloads)), thread_name_prefix="fetch")
        try:
            calls = [pool.submit(self._call, name, number, payload) for number, payload in enumerate(payloads)]
            for call in as_completed(calls):
                yield call.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _call(self, name: str, number: int, payload: dict[str, Any]) -> SourceResult:
        def call(worker: UpstreamWorker) -> Any:
            if self._is_closed:
                raise ToolError("the download was stopped")
            self._configure(worker)
            return worker.call(name, payload, self._seconds)

        try:
            return decode_answer(lambda answer: decode_result(number, answer), self._client.run(call))
        except ToolError as error:
            return SourceResult(number, None, SourceFault("failed", str(error)))

    def _configure(self, worker: UpstreamWorker) -> None:
        """Sends the settings to a process that does not have them.

        Raises:
            ToolError: the program refuses them, or is lost.
        """
        with self._lock:
            if worker not in self._configured:
                worker.call("fetch-configure", self._settings, CONFIGURE_SECONDS)
                self._configured.add(worker)
