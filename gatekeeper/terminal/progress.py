"""A progress line on the terminal, with the elapsed seconds, removed at the end."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def show_progress(message: str, delay: float = 0.0) -> Iterator[None]:
    """Shows a message and the elapsed seconds while the block runs; nothing if standard error is not a terminal.

    Args:
        delay: seconds before the line appears.
    """
    if not sys.stderr.isatty():
        yield
        return
    began, done = time.monotonic(), threading.Event()

    def tick() -> None:
        wait = delay or 1
        while not done.wait(wait):
            sys.stderr.write(f"\r\033[K{message} ({time.monotonic() - began:.0f} s)")
            sys.stderr.flush()
            wait = 1

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()
        sys.stderr.write("\r\033[K")
