"""The controller's log: one JSON object per line on standard output."""

from __future__ import annotations

import sys
import threading
import time

import orjson

from gatekeeper.kube.conditions import format_time

_stdout_lock = threading.Lock()


def log_event(level: str, message: str, **fields: object) -> None:
    """Write one line.

    Args:
        level: `info`, `warning` or `error`.
        fields: further keys of the line; none may hold a secret.
    """
    line = {"time": format_time(time.time()), "level": level, "message": message, **fields}
    with _stdout_lock:
        sys.stdout.write(orjson.dumps(line, default=str).decode() + "\n")
        sys.stdout.flush()
