"""Builds programs once: a lock per program is held while it is built, and awaited where it is needed.

`make test` builds in the background while tests run. It takes the locks of all missing programs before the first test
starts, and releases each when its build has ended; so a test that needs a program sleeps in the lock until then. The
kernel releases the locks of a process that has died.
"""

from __future__ import annotations

import fcntl
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from gatekeeper.host import toolchain
from tests.servers.programs import BuildError, is_built, path_of

ROOT = Path(__file__).parent.parent.parent
# Names, separated by blanks: what `make test` builds while the tests run, in this order.
BUILDING = "GATEKEEPER_BUILDING"
SECONDS = 3600.0
# While one build links, which takes one core only, another compiles.
LANES = 2
PROGRESS_SECONDS = 60.0
STOP_SECONDS = 5.0
LAST_LINES = 30


def being_built() -> list[str]:
    """The programs that `make test` builds while these tests run."""
    return os.environ.get(BUILDING, "").split()


def obtain(name: str) -> Path:
    """A program for a test: waits while another process builds it, and builds it where no process does.

    Raises:
        BuildError: the build failed.
    """
    outcome = _outcome(name)
    if isinstance(outcome, BuildError):
        raise outcome
    return outcome


@cache
def _outcome(name: str) -> Path | BuildError:
    """Kept also where it failed: a build that fails is not tried again for each test."""
    path = path_of(name)
    if path.is_file():
        return path
    with locked(name):
        if path.is_file():
            return path
        note = _file(name, "failed")
        if name in being_built() and note.is_file():
            return BuildError(note.read_text(encoding="utf-8"))
        failure = Build(name).wait()
    return BuildError(failure) if failure else path


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds the lock of a program; waits until no other process does."""
    lock = _open_lock(name)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _open_lock(name: str) -> int:
    path = _file(name, "lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _file(name: str, suffix: str) -> Path:
    """A file beside the folder of a program: `lock`, `log` or `failed`."""
    return toolchain.get_cache_folder() / f"{path_of(name).parent.name}.{suffix}"


def command_of(name: str) -> list[str]:
    """The command that builds a program, whether it is there or not."""
    return [sys.executable, "-m", "tests.servers.single_build", name]


class Build:
    """One build, in a process group of its own; the lock of its program must be held."""

    def __init__(self, name: str, priority: Sequence[str] = ()) -> None:
        self._name, self._is_stopped = name, False
        _file(name, "failed").unlink(missing_ok=True)
        with _file(name, "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*priority, *command_of(name)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> str:
        """Waits for its end: an empty text, or how it failed, which is also noted for tests in other processes."""
        try:
            status = self._process.wait(SECONDS)
            end = f"ended with status {status}"
        except subprocess.TimeoutExpired:
            status, end = 1, f"did not end within {SECONDS / 60:g} minutes"
        finally:
            self._kill()
        if status == 0:
            return ""
        if self._is_stopped:
            return note_failure(self._name, f"the build of {self._name} was stopped")
        lines = _file(self._name, "log").read_text(encoding="utf-8", errors="replace").splitlines()
        return note_failure(self._name, "\n".join([f"the build of {self._name} {end}:", *lines[-LAST_LINES:]]))

    def stop(self) -> None:
        """Ends it before its time, with all processes that it started."""
        self._is_stopped = True
        self._kill()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def note_failure(name: str, failure: str) -> str:
    """Writes for tests in other processes how a build has failed."""
    _file(name, "failed").write_text(failure, encoding="utf-8")
    return failure


class BackgroundBuilds:
    """Builds of programs at the lowest priority while something else runs.

    Args:
        names: the programs, in the order in which their builds start.
        say: gets a line of progress at a time.
    """

    def __init__(self, names: Sequence[str], say: Callable[[str], None]) -> None:
        self.failures: dict[str, str] = {}
        self._names, self._say = list(names), say
        self._locks = {name: _open_lock(name) for name in names}
        self._running: dict[str, tuple[Build, float]] = {}
        self._state, self._stopped, self._ended = threading.RLock(), threading.Event(), threading.Event()
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        for name in names:
            # Where another process has the lock, it builds the program, and the lane waits for it.
            with suppress(BlockingIOError):
                fcntl.flock(self._locks[name], fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._queue.put(name)
        self._lanes = [threading.Thread(target=self._build_all, daemon=True) for _ in range(LANES)]
        for lane in self._lanes:
            lane.start()
        threading.Thread(target=self._report, daemon=True).start()

    def wait(self) -> None:
        """Waits until all builds have ended."""
        for lane in self._lanes:
            lane.join()
        self._ended.set()

    def stop(self) -> list[str]:
        """Ends the builds that are left, and returns their programs."""
        with self._state:
            self._stopped.set()
            self._ended.set()
            left = list(self._locks)
            for name in left:
                # For tests that wait: when the lock is released, they must not start a build.
                note_failure(name, f"the build of {name} was stopped")
            for build, _ in self._running.values():
                build.stop()
            for name in left:
                self._release(name)
        for lane in self._lanes:
            # One may still wait for a lock that another process holds; it ends with this process.
            lane.join(STOP_SECONDS)
        return left

    def _build_all(self) -> None:
        while True:
            try:
                name = self._queue.get_nowait()
            except queue.Empty:
                return
            lock = self._locks.get(name)
            if lock is None:
                return
            fcntl.flock(lock, fcntl.LOCK_EX)
            with self._state:
                if self._stopped.is_set():
                    return
                began = time.monotonic()
                build = None if is_built(name) else Build(name, ("nice", "-n", "19"))
                if build is not None:
                    self._running[name] = build, began
                    self._say(f"building {self._place(name)}")
            failure = build.wait() if build is not None else ""
            with self._state:
                self._running.pop(name, None)
                if self._stopped.is_set():
                    return
                if failure:
                    self.failures[name] = failure
                took = f" in {duration(time.monotonic() - began)}" if build else " by another process"
                self._say(failure or f"built {self._place(name)}{took}")
                self._release(name)

    def _release(self, name: str) -> None:
        os.close(self._locks.pop(name))

    def _place(self, name: str) -> str:
        return f"{name} ({self._names.index(name) + 1} of {len(self._names)})"

    def _report(self) -> None:
        while not self._ended.wait(PROGRESS_SECONDS):
            with self._state:
                now = time.monotonic()
                words = [f"{self._place(name)}, {duration(now - began)}" for name, (_, began) in self._running.items()]
            if words:
                self._say(f"building {'; '.join(words)} so far")


def duration(seconds: float) -> str:
    """A time as people say it: `42 s`, `2 min 5 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
