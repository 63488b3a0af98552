"""Runs other programs: without a shell, with a time limit, without network, and with nothing left running.

Only this module starts programs that end by themselves, or that end with their input; servers are started where they
are used.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from gatekeeper.errors import ToolError
from gatekeeper.host import program_failures

# A renderer that tries to fetch finds a closed port; Git may read no remote.
OFFLINE_ENVIRONMENT = {
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "NO_PROXY": "",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_TERMINAL_PROMPT": "0",
}
INHERITED_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "SYSTEMROOT", "XDG_CACHE_HOME")


def run_command(
    command: Sequence[str | Path],
    timeout: float,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    *,
    allow_network: bool = False,
    advice: str = "raise `render.timeout`",
) -> tuple[int, bytes, str]:
    """Runs a program to its end, offline by default.

    Args:
        timeout: seconds, after which the program is killed.
        allow_network: whether it may open connections, with the proxies and keys of the user.
        environment: variables in addition to the few inherited ones.
        advice: what to do if the time was too short; it ends the message.

    Returns:
        Exit status, standard output, standard error.

    Raises:
        ToolError: the program cannot be started, or took too long.
    """
    kept = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=timeout,
            env={
                **kept,
                **(_build_network_environment() if allow_network else OFFLINE_ENVIRONMENT),
                **(environment or {}),
            },
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        program_failures.note_failure()
        raise ToolError(f"{name} took longer than {timeout:g} seconds; {advice}") from error
    except OSError as error:
        program_failures.note_failure()
        raise ToolError(f"{name} cannot be started: {error.strerror or error}") from error
    return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")


class LineProcess:
    """A running program that answers each line with one line, offline; for one thread at a time.

    Raises:
        ToolError: the program cannot be started.
    """

    def __init__(self, command: Sequence[str | Path]) -> None:
        kept = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
        self._name = Path(command[0]).name
        try:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**kept, **OFFLINE_ENVIRONMENT},
            )
        except OSError as error:
            raise ToolError(f"{self._name} cannot be started: {error.strerror or error}") from error

    def send_request(self, request: bytes, timeout: float, advice: str) -> bytes:
        """Sends one line, and returns the answer. After an error the program is killed.

        Args:
            timeout: seconds, after which the program is killed.
            advice: what may be wrong if the program ends without an answer; it ends the message.

        Raises:
            ToolError: the program ended, or took too long.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        late: list[bool] = []

        def stop() -> None:
            late.append(True)
            self._process.kill()

        timer = threading.Timer(timeout, stop)
        timer.start()
        try:
            self._process.stdin.write(request + b"\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except OSError:
            answer = b""
        finally:
            timer.cancel()
        if answer:
            return answer
        self.close()
        if late:
            raise ToolError(f"{self._name} took longer than {timeout:g} seconds; {advice}")
        raise ToolError(f"{self._name} ended without an answer; {advice}")

    def close(self) -> None:
        """Kills the program."""
        self._process.kill()
        with self._process:
            self._process.wait()


def run_interactive(command: Sequence[str | Path], environment: Mapping[str, str]) -> int:
    """Runs a program that uses the terminal, such as an editor, to its end; its exit status.

    Raises:
        ToolError: the program cannot be started.
    """
    try:
        return subprocess.run([str(part) for part in command], env=dict(environment), check=False).returncode
    except OSError as error:
        raise ToolError(f"{Path(command[0]).name} cannot be started: {error.strerror or error}") from error


def _build_network_environment() -> dict[str, str]:
    """The variables with which a program reaches other machines as its user does, without a password prompt."""
    names = {*OFFLINE_ENVIRONMENT, "SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "GIT_CONFIG_GLOBAL", "SSL_CERT_FILE"} - {
        "GIT_ALLOW_PROTOCOL"
    }
    inherited = {name: os.environ[name] for name in names if name in os.environ}
    return {**inherited, "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "https:ssh:file"}


class LineProcessPool:
    """A pool of running programs of one kind, as many as were used at the same time.

    Args:
        find_program: returns the path of the program.
        timeout: seconds for one answer.
        advice: what may be wrong if the program ends or takes too long; it ends the message.
    """

    def __init__(self, find_program: Callable[[], str | Path], timeout: float, advice: str) -> None:
        self._find_program, self._timeout, self._advice = find_program, timeout, advice
        self._idle: list[LineProcess] = []
        self._lock = threading.Lock()
        atexit.register(self._close_all)

    def send_request(self, request: bytes) -> bytes:
        """Sends one line to an idle program, or to a new one, and returns the answer.

        Raises:
            ToolError: the program is missing, ended, or took too long.
        """
        with self._lock:
            program = self._idle.pop() if self._idle else None
        program = program or LineProcess([self._find_program()])
        answer = program.send_request(request, self._timeout, self._advice)
        with self._lock:
            self._idle.append(program)
        return answer

    def _close_all(self) -> None:
        while self._idle:
            self._idle.pop().close()


def start_process(
    program: Path, name: str, options: Sequence[str], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Starts a program that answers on its output, in an empty folder that is gone as soon as the program is in it.

    It has a process group of its own, so that Ctrl-C in a terminal does not end it below calls that wait.

    Raises:
        ToolError: it cannot be started.
    """
    try:
        with open_scratch_folder(f"{name}-") as folder:
            return subprocess.Popen(
                [str(program.absolute()), *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env=dict(environment),
                process_group=0,
            )
    except OSError as error:
        program_failures.note_failure()
        raise ToolError(f"{name} cannot be started: {error.strerror or error}") from error


@contextmanager
def open_scratch_folder(prefix: str) -> Iterator[Path]:
    """An empty folder that only this user can read, until the end of the block; nothing may be left in it.

    `tempfile` does the same, but loads all libraries of compression: each short run would wait for that.

    Raises:
        OSError: no folder can be made.
    """
    folder = Path(os.environ.get("TMPDIR") or "/tmp", f"{prefix}{os.urandom(8).hex()}")
    try:
        folder.mkdir(0o700)
    except OSError:
        # It looks in more places.
        import tempfile

        folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        folder.rmdir()
