"""The controller's log: one JSON object per line on standard output."""

from __future__ import annotations

import sys
import threading
import time

import orjson

from gatekeeper.kube.conditions import format_time

# How many stack frames of an internal error are logged, innermost first.
MAX_FRAMES = 4
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


def describe_fault(error: Exception) -> str:
    """Describe an internal error by its type and place; its text is left out, it may hold a secret."""
    frames, trace = list[str](), error.__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"internal error: {type(error).__name__} at {' < '.join(reversed(frames[-MAX_FRAMES:]))}"
