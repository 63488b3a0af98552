"""One running process of the Go program: pipelined calls with deadlines, and a watch on whether it still answers.

It ends with its input.
"""

from __future__ import annotations

import itertools
import os
import select
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gatekeeper.errors import ToolError
from gatekeeper.host import program_failures
from gatekeeper.host.background import PendingResult
from gatekeeper.host.process import start_process
from gatekeeper.upstream.frames import encode_frame, read_frame
from gatekeeper.upstream.surroundings import NO_SURROUNDINGS, Surroundings

PROGRAM = "gatekeeper-upstream"
START_SECONDS = 20.0
# The program answers a late call itself; a process that does not even do that is killed after this time.
GRACE_SECONDS = 3.0
# The program answers a further call at once, whatever the others need: it gets one after this time without an answer,
# and again each time; after the other time it hangs.
PROBE_SECONDS, SILENCE_SECONDS = 5.0, 15.0
MEMORY_BYTES = 1024 * 1024 * 1024
# The exit status of a process that needed more memory than it may use.
MEMORY_EXIT_STATUS = 9


class WorkerLostError(ToolError):
    """A call got no answer, because its process ended, hung or answered something that is no answer."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        program_failures.note_failure()


class SilentProcessError(WorkerLostError):
    """The process answers nothing at all: that is no fault of a call."""


class LateCallError(WorkerLostError):
    """A call took longer than it may; its process goes on with the others.

    Args:
        was_shared: whether the process had other calls at the same time, which may have delayed this one.
    """

    def __init__(self, message: str, was_shared: bool) -> None:
        super().__init__(message)
        self.was_shared = was_shared


class _WaitingCall:
    """A call that waits for its answer."""

    def __init__(self, seconds: float, is_shared: bool) -> None:
        self.answer: PendingResult[Any] = PendingResult()
        self.seconds, self.is_shared = seconds, is_shared
        self.began, self.is_over = time.monotonic(), threading.Event()


class UpstreamWorker:
    """A process that has started and has the version that is expected; for any number of threads.

    Args:
        version: the version that the program must have.
        kubernetes: the version of Kubernetes (`1.34`) that it shall emulate.
        name: the name of the program, and its options after a space.
        surroundings: what the process gets beyond that.

    Raises:
        ToolError: the program cannot be started, or has another version.
    """

    def __init__(
        self,
        program: Path,
        version: str,
        kubernetes: str,
        memory: int = MEMORY_BYTES,
        name: str = PROGRAM,
        *,
        surroundings: Surroundings = NO_SURROUNDINGS,
    ) -> None:
        self._waiting: dict[int, _WaitingCall] = {}
        self._lock, self._write_lock = threading.Lock(), threading.Lock()
        self._numbers = itertools.count(1)
        # Calls whose caller no longer waits.
        self._abandoned: set[int] = set()
        self._loss, self._loss_type, self._is_hung, self._heard = "", WorkerLostError, False, time.monotonic()
        self._name, _, options = name.partition(" ")
        arguments = [*options.split(), *surroundings.options, f"-memory={memory}"]
        self._process = start_process(program, self._name, arguments, surroundings.environment)
        self._reader = threading.Thread(target=self._read_answers, name=self._name, daemon=True)
        self._reader.start()
        try:
            answer = self.call("hello", {"version": version, "kubernetes": kubernetes}, START_SECONDS)
            self.kubernetes = str(answer["kubernetes"])
        except (ToolError, KeyError, TypeError) as error:
            self.close()
            reason = str(error) if isinstance(error, ToolError) else "it does not answer hello"
            install = f"run `gatekeeper tools install {self._name}`"
            raise ToolError(f"{self._name} cannot be used: {reason}; {install}") from error

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def is_lost(self) -> bool:
        """Whether the process has ended or was ended, or a call of it does not stop: it takes no further calls."""
        return bool(self._loss) or self._is_hung or self._process.poll() is not None

    def call(self, name: str, payload: Mapping[str, Any], seconds: float) -> Any:
        """Sends a call and waits for its result.

        Args:
            seconds: after which the call fails. If the process does not answer at all, it is ended earlier.

        Raises:
            LateCallError: the call took too long.
            SilentProcessError: the process does not answer.
            WorkerLostError: the process ended, or hung, or its answer cannot be read.
            ToolError: the program refuses the call, or the call is too large.
        """
        number, call = self._register(seconds)
        threading.Thread(target=self._watch, args=(call,), name=f"{self._name} watch", daemon=True).start()
        try:
            self._send(encode_frame({"id": number, "call": name, "seconds": seconds}, payload))
            return call.answer.wait(seconds + GRACE_SECONDS + START_SECONDS)
        except TimeoutError as error:
            raise WorkerLostError(_describe_delay(self._name, seconds)) from error
        finally:
            call.is_over.set()
            self._forget(number)

    def _watch(self, call: _WaitingCall) -> None:
        """Ends the process if it does not answer a call in its time, or does not answer any call."""
        deadline = call.began + call.seconds + GRACE_SECONDS
        while not call.is_over.wait(min(PROBE_SECONDS, max(0.0, deadline - time.monotonic()))):
            silence = time.monotonic() - max(self._heard, call.began)
            if time.monotonic() >= deadline:
                self._lose(_describe_delay(self._name, call.seconds), SilentProcessError)
            elif silence >= SILENCE_SECONDS:
                self._lose(f"{self._name} did not answer for {SILENCE_SECONDS:g} seconds", SilentProcessError)
            elif silence >= PROBE_SECONDS:
                self._probe()

    def _probe(self) -> None:
        """Sends a call that needs no time, unless the process does not even read."""
        if not self._write_lock.acquire(blocking=False):
            return
        try:
            assert self._process.stdin is not None
            if select.select([], [self._process.stdin], [], 0)[1]:
                number = next(self._numbers)
                self._abandoned.add(number)
                self._write(encode_frame({"id": number, "call": "probe", "seconds": 1}, {}))
        except (OSError, ValueError):
            return  # It has ended, and the thread that reads notices it.
        finally:
            self._write_lock.release()

    def _register(self, seconds: float) -> tuple[int, _WaitingCall]:
        with self._lock:
            if self.is_lost:
                has_ended = self._process.poll() is not None
                reason = self._describe_end() if has_ended else f"{self._name} takes no further calls"
                raise WorkerLostError(self._loss or reason)
            number = next(self._numbers)
            call = _WaitingCall(seconds, bool(self._waiting))
            for other in self._waiting.values():
                other.is_shared = True
            self._waiting[number] = call
            return number, call

    def _forget(self, number: int) -> None:
        with self._lock:
            if self._waiting.pop(number, None) is not None:
                self._abandoned.add(number)

    def close(self) -> None:
        """Ends the process. Calls that wait fail."""
        self._lose(f"{self._name} was ended")

    def abandon(self) -> None:
        """Lets go of the process in a child process that a fork has made: it belongs to the parent.

        The locks and the thread of the parent cannot be used here, so only the descriptors are released: with a copy
        of them the program would not end with the parent.
        """
        empty = os.open(os.devnull, os.O_RDWR)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not stream.closed:
                os.dup2(empty, stream.fileno(), inheritable=False)
        os.close(empty)
        # Python must not wait for a process that is no child of this one.
        self._process.returncode = 0

    def _send(self, frame: bytes) -> None:
        try:
            with self._write_lock:
                self._write(frame)
        except (OSError, ValueError):
            self._lose(self._describe_end())

    def _write(self, frame: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(frame)
        self._process.stdin.flush()

    def _read_answers(self) -> None:
        """Gives each answer to the call that waits for it, until the process ends."""
        assert self._process.stdout is not None
        try:
            with self._process.stdout as stream:
                while (answer := read_frame(stream)) is not None:
                    self._deliver(answer)
        except (ValueError, KeyError, TypeError, AttributeError):
            self._lose(f"{self._name} answered something that is no answer")
        except OSError:
            pass
        # The first reason counts.
        self._lose(self._describe_end())

    def _deliver(self, answer: Any) -> None:
        number = answer["id"]
        self._heard = time.monotonic()
        with self._lock:
            call = self._waiting.pop(number, None)
            if call is None and number not in self._abandoned:
                raise ValueError("an answer to no request")
            self._abandoned.discard(number)
            self._is_hung = self._is_hung or answer.get("hung") is True
            is_over = self._is_hung and not self._waiting
        if call is not None:
            _resolve(call, self._name, answer)
        if is_over:
            self._lose(f"{self._name} had a call that does not stop")

    def _describe_end(self) -> str:
        try:
            status = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return f"{self._name} closed its output"
        if status == MEMORY_EXIT_STATUS:
            return f"{self._name} needed more than {MEMORY_BYTES // 2**20} MB of memory"
        return f"{self._name} ended with status {status}"

    def _lose(self, reason: str, loss_type: type[WorkerLostError] = WorkerLostError) -> None:
        """Ends the process, and fails all calls that wait."""
        with self._lock:
            if not self._loss:
                self._loss, self._loss_type = reason, loss_type
            waiting, self._waiting = list(self._waiting.values()), {}
        self._process.kill()
        for call in waiting:
            call.answer.fail(self._loss_type(self._loss))
        self._process.wait()
        assert self._process.stdin is not None
        # What was not written yet cannot be.
        with suppress(OSError):
            self._process.stdin.close()


def _resolve(call: _WaitingCall, name: str, answer: Mapping[str, Any]) -> None:
    if answer.get("late") is True:
        call.answer.fail(LateCallError(_describe_delay(name, call.seconds), call.is_shared))
    elif "error" in answer:
        call.answer.fail(ToolError(f"{name}: {answer['error']}"))
    else:
        call.answer.succeed(answer.get("result"))


def _describe_delay(name: str, seconds: float) -> str:
    return f"{name} took longer than {seconds:g} seconds"
