"""What goes on while a user waits: a line on the terminal, with the seconds, gone when it is done."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def show_progress(message: str, delay: float = 0.0) -> Iterator[None]:
    """Says what is done, and for how long; nothing where standard error is no terminal.

    Args:
        delay: seconds of silence first.
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
