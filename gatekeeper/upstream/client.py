"""Calls of the Go program: it is started on first use, reused, and replaced by a new process when it is lost.

One process serves all threads on all cores: it starts once, and what it compiled for one call serves the next. A call
that is lost with it is repeated once in a process of its own, so that it can fail only through itself. If one process
after the other is lost, the program is at fault, and calls fail at once for a while.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from gatekeeper.errors import ToolError
from gatekeeper.host.background import BackgroundCall
from gatekeeper.host.toolchain import DEFAULT_TOOLCHAIN
from gatekeeper.upstream.process_losses import ProcessLosses
from gatekeeper.upstream.surroundings import NO_SURROUNDINGS, Surroundings
from gatekeeper.upstream.worker import PROGRAM, LateCallError, SilentProcessError, UpstreamWorker, WorkerLostError

Result = TypeVar("Result")
# How many calls may have a process of their own at the same time.
MAX_SEPARATE_PROCESSES = max(1, os.cpu_count() or 1)


class UpstreamClient:
    """One process of the program, for any number of threads.

    Args:
        find_program: returns the path of the program.
        kubernetes: the version of Kubernetes (`1.34`) that it emulates.
        name, surroundings: see `UpstreamWorker`.
    """

    def __init__(
        self,
        find_program: Callable[[], Path],
        version: str,
        kubernetes: str = "",
        name: str = PROGRAM,
        *,
        surroundings: Surroundings = NO_SURROUNDINGS,
    ) -> None:
        self._find_program, self._version, self._kubernetes = find_program, version, kubernetes
        self._name, self._surroundings = name, surroundings
        self._worker: UpstreamWorker | None = None
        self._lock = threading.Lock()
        self._separate = threading.BoundedSemaphore(MAX_SEPARATE_PROCESSES)
        self._losses = ProcessLosses(name)
        self._abandoned: list[UpstreamWorker] = []
        _CLIENTS.add(self)

    def get_worker(self) -> UpstreamWorker:
        """The running process, started if there is none.

        Raises:
            ToolError: the program is missing, cannot be started, or has another version.
        """
        with self._lock:
            if self._worker is None or self._worker.is_lost:
                self._worker = self._start_worker()
            return self._worker

    def _start_worker(self) -> UpstreamWorker:
        """A new process.

        Raises:
            ToolError: see `get_worker`; or too many processes were lost.
        """
        program = self._find_program()
        self._losses.check()
        try:
            return UpstreamWorker(
                program, self._version, self._kubernetes, name=self._name, surroundings=self._surroundings
            )
        except ToolError as error:
            self._losses.add(str(error), is_silent=isinstance(error.__cause__, SilentProcessError))
            raise

    def call(self, name: str, payload: Mapping[str, Any], seconds: float) -> Any:
        """The result of a call that changes nothing: if its process is lost, it is repeated once in one of its own.

        Args:
            seconds: for one attempt.

        Raises:
            WorkerLostError: the call ends its process, or takes too long.
            ToolError: the program is missing, or refuses the call.
        """
        return self.run(lambda worker: worker.call(name, payload, seconds))

    def call_separately(self, name: str, payload: Mapping[str, Any], seconds: float) -> Any:
        """The result of a call in a process of its own: no other call can disturb it, and it disturbs none.

        Raises:
            WorkerLostError: the call ends its process, or takes too long.
            ToolError: the program is missing, or refuses the call.
        """
        return self._run_separately(lambda worker: worker.call(name, payload, seconds))

    def run(self, calls: Callable[[UpstreamWorker], Result]) -> Result:
        """The result of calls that depend on each other, in one process: repeated once in a process of their own.

        Raises:
            WorkerLostError: a call ends its process, or takes too long.
            ToolError: the program is missing, or refuses a call.
        """
        try:
            return self._attempt(calls, self.get_worker())
        except LateCallError as error:
            if not error.was_shared:
                raise
        except WorkerLostError:
            pass
        return self._run_separately(calls)

    def _attempt(self, calls: Callable[[UpstreamWorker], Result], worker: UpstreamWorker) -> Result:
        """The result of calls in a process, of which a loss is counted."""
        try:
            result = calls(worker)
        except LateCallError:
            raise
        except WorkerLostError as error:
            self._losses.add(str(error), is_silent=isinstance(error, SilentProcessError), process=worker)
            raise
        except ToolError:
            self._losses.clear()
            raise
        self._losses.clear()
        return result

    def _run_separately(self, calls: Callable[[UpstreamWorker], Result]) -> Result:
        with self._separate:
            worker = self._start_worker()
            try:
                return self._attempt(calls, worker)
            finally:
                worker.close()

    def close(self) -> None:
        """Ends the process; a later call starts another."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def abandon_worker(self) -> None:
        """Lets go of the process in a child process that a fork has made, which starts one of its own."""
        # A thread of the parent may have held them at the fork.
        self._lock = threading.Lock()
        self._separate = threading.BoundedSemaphore(MAX_SEPARATE_PROCESSES)
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.abandon()
            # Kept, because the locks of its streams must not be waited for when they are freed.
            self._abandoned.append(worker)


_CLIENTS: weakref.WeakSet[UpstreamClient] = weakref.WeakSet()


def _abandon_workers() -> None:
    for client in list(_CLIENTS):
        client.abandon_worker()


os.register_at_fork(after_in_child=_abandon_workers)


@cache
def open_client(kubernetes: str) -> UpstreamClient:
    """The client of this process for a version of Kubernetes. The program ends with this process."""
    return create_client(kubernetes)


def prepare_client(kubernetes: str) -> UpstreamClient:
    """Like `open_client`; the program starts in the background, and its first call reports an error of the start."""
    client = open_client(kubernetes)
    # Its result is not needed: the first call finds the process, or meets the same error.
    BackgroundCall(client.get_worker)
    return client


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
