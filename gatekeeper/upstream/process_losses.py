"""Processes of a program that were lost in a row: then the program is at fault, and not what it was called with.

Without this limit a program that hangs or ends at each call would be started again for each object of a repository.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from gatekeeper.errors import ToolError

# One object that ends its process is found by halving a batch, which loses less than ten processes in a row.
MAX_LOSSES = 16
# A process that answers nothing costs much time, and no input can cause it.
MAX_SILENT_LOSSES = 2
# After this time the program is tried again: a controller goes on when the machine has recovered.
PAUSE_SECONDS = 60.0


class ProcessLosses:
    """How many processes were lost since the last answer, for any number of threads.

    Args:
        name: the name of the program.
        read_clock: returns seconds of a clock that never goes back.
    """

    def __init__(self, name: str, read_clock: Callable[[], float] = time.monotonic) -> None:
        self._name, self._read_clock = name.partition(" ")[0], read_clock
        self._lock = threading.Lock()
        self._count, self._silent_count = 0, 0
        self._reason, self._until = "", 0.0
        # References, so that no other process is taken for one of them.
        self._counted: list[object] = []

    def add(self, reason: str, *, is_silent: bool, process: object = None) -> None:
        """Counts a process that was lost.

        Args:
            is_silent: whether it answered nothing at all.
            process: identifies it, because each call that it had reports its loss; None if it did not start.
        """
        with self._lock:
            if process is not None and process in self._counted:
                return
            self._counted.append(process)
            self._count += 1
            self._silent_count += is_silent
            self._reason = reason
            if self._count >= MAX_LOSSES or self._silent_count >= MAX_SILENT_LOSSES:
                self._until = self._read_clock() + PAUSE_SECONDS

    def clear(self) -> None:
        """Forgets all losses, because a process has answered."""
        with self._lock:
            self._count, self._silent_count, self._until = 0, 0, 0.0
            self._counted.clear()

    def check(self) -> None:
        """Permits the start of a process.

        Raises:
            ToolError: too many were lost a short time ago.
        """
        with self._lock:
            if self._read_clock() < self._until:
                raise ToolError(
                    f"{self._name} failed {self._count} times in a row, the last time because {self._reason}; "
                    f"run `gatekeeper tools install {self._name}`, or correct what keeps it from running"
                )
