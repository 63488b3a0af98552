"""`make test`: runs the tests at once, while the programs that they need are built in the background.

usage: python -m tests.run [PATH ...]

Without a path all tests run, and beside them ruff and mypy; then branch coverage is compared with its floor in
pyproject.toml. With paths only these tests run, and only the programs are built that their files need.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress

from tests.servers.builds import BUILDING, ROOT, BackgroundBuilds, duration
from tests.servers.programs import go, is_built
from tests.servers.requirements import TESTS, find_files, programs_of

PYTEST = ("pytest", "-q", "-n", "auto", "--maxprocesses", "4", "--dist", "loadfile")
RUFF = (("ruff", "check", "."), ("ruff", "format", "--check", "."))
INTERRUPTED = 130
STOP_SECONDS = 20.0


def say(line: str) -> None:
    """A line of progress, below the dots of pytest."""
    sys.stdout.write(f"\n{line}\n")
    sys.stdout.flush()


class Step:
    """A Python module that runs in a process group of its own.

    Args:
        is_quiet: its output is shown when it has ended, and only if it failed.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], is_quiet: bool = False) -> None:
        self.name = arguments[0]
        self._began, output = time.monotonic(), subprocess.PIPE if is_quiet else None
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=environment,
            text=True,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if is_quiet else None,
        )

    def wait(self) -> bool:
        """Waits for its end and reports it: whether it passed."""
        output, _ = self._process.communicate()
        status = self._process.returncode
        words = f"failed with status {status}" if status else "passed"
        lines = [f"{self.name} {words} after {duration(time.monotonic() - self._began)}"]
        say("\n".join([output.rstrip(), *lines] if output and status else lines))
        return status == 0

    def stop(self) -> None:
        """Interrupts it with all that it started, as Ctrl-C does, and kills what is left after a while."""
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGINT)
                self._process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Types(threading.Thread):
    """mypy, beside the tests; its result is shown as soon as it is there."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.has_passed = False
        self.step = Step(["mypy"], os.environ, is_quiet=True)
        self.start()

    def run(self) -> None:
        """Waits for it."""
        self.has_passed = self.step.wait()


def missing_programs(arguments: Sequence[str]) -> list[str]:
    """The programs that tests need and that must still be built; without Go they are left out, and tests skip or fail."""
    places = [ROOT / argument.partition("::")[0] for argument in arguments if not argument.startswith("-")]
    names = [name for name in programs_of(find_files(places or [TESTS])) if not is_built(name)]
    if names and go() is None:
        say(f"Go is missing, so these programs cannot be built: {', '.join(names)}")
        return []
    return names


def is_measured(is_whole: bool) -> bool:
    """Whether coverage is measured: with all tests, unless GATEKEEPER_COVERAGE is `off`, and never with some of them."""
    return is_whole and os.environ.get("GATEKEEPER_COVERAGE") != "off"


def run(arguments: Sequence[str], is_whole: bool) -> bool:
    """Runs the tests and what runs beside them; returns only when all of it has ended: whether all passed."""
    missing = missing_programs(arguments)
    builds = BackgroundBuilds(missing, say)
    environment = {**os.environ, BUILDING: " ".join(missing)}
    order = ["--no-loadscope-reorder"] if missing else []
    if is_measured(is_whole):
        subprocess.run([sys.executable, "-m", "coverage", "erase"], cwd=ROOT, check=True)
    measure = ["coverage", "run", "-m"] if is_measured(is_whole) else []
    steps: list[Step] = []
    try:
        types = Types() if is_whole else None
        steps += [types.step] if types else []
        steps.append(Step([*measure, *PYTEST, *order, *arguments], environment))
        has_passed = steps[-1].wait()
        if types:
            types.join()
            has_passed = has_passed and types.has_passed
    finally:
        # While an end is under way, a second Ctrl-C must not leave anything behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        left = builds.stop()
        for step in steps:
            step.stop()
    if left:
        say(f"the tests have ended, so these builds were stopped: {', '.join(left)}")
    for failure in builds.failures.values():
        say(failure)
    return has_passed and not builds.failures


def is_covered() -> bool:
    """Whether branch coverage is at least its floor, `fail_under` in pyproject.toml."""
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run([*coverage, "combine", "--quiet"], cwd=ROOT, check=True)
    # Its exit status says whether the floor is reached.
    done = subprocess.run([*coverage, "report", "--format=total"], cwd=ROOT, text=True, stdout=subprocess.PIPE)
    floor = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]["report"]["fail_under"]
    say(f"branch coverage: {done.stdout.strip()} %, floor: {floor} %; `coverage html` shows what no test runs")
    return done.returncode == 0


def main(arguments: list[str]) -> int:
    """0 if all passed, 1 if not."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    is_whole = not arguments
    try:
        if is_whole and any(subprocess.run([sys.executable, "-m", *step], cwd=ROOT).returncode for step in RUFF):
            return 1
        has_passed = run(arguments, is_whole)
        return 0 if has_passed and (not is_measured(is_whole) or is_covered()) else 1
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
