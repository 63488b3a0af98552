"""Progress on the terminal: a line with the elapsed seconds, and the bar of `gatekeeper check`."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

# The bar appears only in runs that take longer.
BAR_DELAY_SECONDS = 2.0
BAR_WIDTH = 30


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


def build_progress_bar() -> Callable[[Sequence[str], str, float], None]:
    """Returns a callback that draws a bar; it draws nothing if standard error is not a terminal.

    The callback takes all steps, the step that runs, and the finished part of it, from 0 to 1.
    """
    if not sys.stderr.isatty():
        return lambda steps, step, part: None
    start = time.monotonic()

    def draw(steps: Sequence[str], step: str, part: float) -> None:
        seconds = time.monotonic() - start
        if seconds > BAR_DELAY_SECONDS:
            bar = format_bar((steps.index(step) + part) / len(steps))
            sys.stderr.write(f"\r\033[K{bar} {step} ({seconds:.0f} s)\r")
            sys.stderr.flush()

    return draw


def format_bar(fraction: float) -> str:
    """Formats the finished fraction of a run, from 0 to 1, as a bar."""
    filled = int(BAR_WIDTH * fraction)
    return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}]"
