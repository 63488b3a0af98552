"""One running process of the Go program: pipelined calls with deadlines.

The process gets no environment and an empty folder that no longer exists as its working directory; it ends with its
input.
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from pathlib import Path
from typing import Any

from gatekeeper.errors import ToolError
from gatekeeper.upstream.frames import encode_frame, read_frame

PROGRAM = "gatekeeper-upstream"
START_SECONDS = 20.0
MEMORY_BYTES = 1024 * 1024 * 1024
# The exit status of a process that needed more memory than it may use.
MEMORY_EXIT_STATUS = 9


class WorkerLostError(ToolError):
    """The process ended, hung or answered something that is no answer; another process may answer the call."""


class UpstreamWorker:
    """A process that has started and has the version that is expected; for any number of threads.

    Args:
        version: the version that the program must have.
        kubernetes: the version of Kubernetes (`1.34`) that it shall emulate.
        name: the name of the program, and its options after a space.

    Raises:
        ToolError: the program cannot be started, or has another version.
    """

    def __init__(
        self, program: Path, version: str, kubernetes: str, memory: int = MEMORY_BYTES, name: str = PROGRAM
    ) -> None:
        self._waiting: dict[int, Future[Any]] = {}
        self._lock, self._write_lock = threading.Lock(), threading.Lock()
        self._next_id = 0
        self._loss = ""
        self._name, _, options = name.partition(" ")
        self._process = _start(program, self._name, [*options.split(), f"-memory={memory}"])
        threading.Thread(target=self._read_answers, name=self._name, daemon=True).start()
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
        """Whether the process has ended or was ended."""
        return bool(self._loss) or self._process.poll() is not None

    def call(self, name: str, payload: Mapping[str, Any], seconds: float) -> Any:
        """Sends a call and waits for its result.

        Args:
            seconds: after which the process is ended.

        Raises:
            WorkerLostError: the process ended, or took too long, or its answer cannot be read.
            ToolError: the program refuses the call.
        """
        future: Future[Any] = Future()
        with self._lock:
            if self._loss:
                raise WorkerLostError(self._loss)
            self._next_id += 1
            number = self._next_id
            self._waiting[number] = future
            frame = encode_frame({"id": number, "call": name, "seconds": seconds, "payload": payload})
        timer = threading.Timer(seconds, self._lose, (f"{self._name} took longer than {seconds:g} seconds",))
        timer.daemon = True
        timer.start()
        try:
            self._send(frame)
            return future.result(seconds + START_SECONDS)
        except FutureTimeoutError as error:
            raise WorkerLostError(f"{self._name} took longer than {seconds:g} seconds") from error
        finally:
            timer.cancel()
            with self._lock:
                self._waiting.pop(number, None)

    def close(self) -> None:
        """Ends the process. Calls that wait fail."""
        self._lose(f"{self._name} was ended")

    def _send(self, frame: bytes) -> None:
        assert self._process.stdin is not None
        try:
            with self._write_lock:
                self._process.stdin.write(frame)
                self._process.stdin.flush()
        except (OSError, ValueError):
            self._lose(self._describe_end())

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
            self._lose(self._describe_end())
        else:
            self._lose(self._describe_end())

    def _deliver(self, answer: Any) -> None:
        with self._lock:
            future = self._waiting.pop(answer["id"], None)
        if future is None:
            raise ValueError("an answer to no request")
        if "error" in answer:
            future.set_exception(ToolError(f"{self._name}: {answer['error']}"))
        else:
            future.set_result(answer.get("result"))

    def _describe_end(self) -> str:
        try:
            status = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return f"{self._name} closed its output"
        if status == MEMORY_EXIT_STATUS:
            return f"{self._name} needed more than {MEMORY_BYTES // 2**20} MB of memory"
        return f"{self._name} ended with status {status}"

    def _lose(self, reason: str) -> None:
        """Ends the process, and fails all calls that wait."""
        with self._lock:
            self._loss = self._loss or reason
            waiting, self._waiting = list(self._waiting.values()), {}
        self._process.kill()
        for future in waiting:
            if not future.done():
                future.set_exception(WorkerLostError(self._loss))
        self._process.wait()
        assert self._process.stdin is not None
        # What was not written yet cannot be.
        with suppress(OSError):
            self._process.stdin.close()


def _start(program: Path, name: str, options: Sequence[str]) -> subprocess.Popen[bytes]:
    """Starts the program in an empty folder, which is gone as soon as the program is in it.

    Raises:
        ToolError: it cannot be started.
    """
    folder = tempfile.mkdtemp(prefix=f"{name}-")
    try:
        return subprocess.Popen(
            [str(program.absolute()), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={},
        )
    except OSError as error:
        raise ToolError(f"{name} cannot be started: {error.strerror or error}") from error
    finally:
        Path(folder).rmdir()
