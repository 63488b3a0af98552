"""How often a program was missing, could not be started, ended early or took too long, in this process.

Such a failure is of this machine and of this moment: a verdict that contains one must not be kept for later runs.
"""

from __future__ import annotations

import itertools

_counter = itertools.count(1)
_latest = 0


def note_failure() -> None:
    """Counts one more failure; from any thread."""
    global _latest
    _latest = next(_counter)


def count_failures() -> int:
    """How many failures there were: another number than before means that there was one in between."""
    return _latest
