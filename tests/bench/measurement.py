"""A command, with what it took."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
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
