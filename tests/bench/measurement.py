"""A command, with what it took."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path


def run(command: Sequence[str | Path]) -> tuple[float, int]:
    """Seconds and peak memory, in MB, of a command that must end well."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(list(command), stdout=out, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        assert process.returncode == 0, out.read()[-2000:]
    return time.monotonic() - began, used.ru_maxrss // 1024


ROUNDS = 5
# Source: prctl(2), PR_SET_CHILD_SUBREAPER.
SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Makes this process the parent of processes whose parent ends first.

    `gatekeeper check` does not wait for `gatekeeper-upstream`: its CPU time would be missing.

    Raises:
        OSError: the system refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def wait_for_orphans() -> Iterator[resource.struct_rusage]:
    """Waits for all children of this process, and yields what each used."""
    while True:
        try:
            yield os.wait4(-1, 0)[2]
        except ChildProcessError:
            return


def measure(command: list[str | Path], cwd: Path, rounds: int = ROUNDS) -> tuple[float, float, int]:
    """Best wall and CPU seconds of some rounds, and the peak of memory in kilobytes, all of its processes included."""
    adopt_orphans()
    best = (float("inf"), float("inf"), 0)
    for _ in range(rounds):
        began = time.monotonic()
        process = subprocess.Popen([str(part) for part in command], cwd=cwd, stdout=subprocess.DEVNULL)
        # wait4 tells what this one process used; RUSAGE_CHILDREN's memory is the most that any child ever had.
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - began
        cpu, memory = used.ru_utime + used.ru_stime, used.ru_maxrss
        for orphan in wait_for_orphans():
            cpu, memory = cpu + orphan.ru_utime + orphan.ru_stime, memory + orphan.ru_maxrss
        best = (min(best[0], wall), min(best[1], cpu), max(best[2], memory))
    return best
