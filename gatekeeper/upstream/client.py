"""Calls of the Go program: it is started on first use, reused, and replaced by a new process when it is lost."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN
from gatekeeper.upstream.worker import PROGRAM, UpstreamWorker, WorkerLostError

ATTEMPTS = 2


class UpstreamClient:
    """One process of the program, for any number of threads.

    Args:
        find_program: returns the path of the program.
        kubernetes: the version of Kubernetes (`1.34`) that it emulates.
        name: see `UpstreamWorker`.
    """

    def __init__(
        self, find_program: Callable[[], Path], version: str, kubernetes: str = "", name: str = PROGRAM
    ) -> None:
        self._find_program, self._version, self._kubernetes = find_program, version, kubernetes
        self._name = name
        self._worker: UpstreamWorker | None = None
        self._lock = threading.Lock()

    def get_worker(self) -> UpstreamWorker:
        """The running process, started if there is none.

        Raises:
            ToolError: the program is missing, cannot be started, or has another version.
        """
        with self._lock:
            if self._worker is None or self._worker.is_lost:
                self._worker = UpstreamWorker(self._find_program(), self._version, self._kubernetes, name=self._name)
            return self._worker

    def call(self, name: str, payload: Mapping[str, Any], seconds: float) -> Any:
        """The result of a call that changes nothing: if the process is lost, another one is asked once.

        Args:
            seconds: for one attempt.

        Raises:
            ToolError: the program is missing, refuses the call, or was lost twice.
        """
        for attempt in range(ATTEMPTS):
            try:
                return self.get_worker().call(name, payload, seconds)
            except WorkerLostError:
                if attempt + 1 == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Ends the process; a later call starts another."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()


@cache
def open_client(kubernetes: str) -> UpstreamClient:
    """The client of this process for a version of Kubernetes. The program ends with this process."""
    return create_client(kubernetes)


def create_client(kubernetes: str) -> UpstreamClient:
    """A client with a process of its own, for calls that may stop their process. The program ends with this process."""
    client = UpstreamClient(get_program_path, get_program_version(), kubernetes)
    atexit.register(client.close)
    return client


def get_program_version() -> str:
    """The version that the program must have: that of Gatekeeper, with the digest of the program's source."""
    return DEFAULT_TOOLCHAIN.get_tool(PROGRAM).version


def get_program_path() -> Path:
    """The path of the program.

    Raises:
        ToolError: it is not installed.
    """
    return DEFAULT_TOOLCHAIN.find(PROGRAM)
