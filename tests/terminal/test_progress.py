"""The progress line: only on a terminal, only in longer runs, and removed at the end."""

from __future__ import annotations

import os
import pty
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import pytest

from gatekeeper.terminal.progress import format_bar, show_progress

REMOVAL = "\r\033[K"
TIMEOUT_SECONDS = 20.0


@contextmanager
def terminal_as_stderr() -> Iterator[int]:
    """Makes a terminal the standard error; yields the descriptor that reads what appears on it."""
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as terminal, redirect_stderr(terminal):
        yield reader
    os.close(reader)


def read_until(reader: int, end: str) -> str:
    """What appears on a terminal up to some text."""
    sys.stderr.flush()
    output = ""
    while end not in output:
        assert select.select([reader], [], [], TIMEOUT_SECONDS)[0], f"{end!r} is missing in {output!r}"
        output += os.read(reader, 1 << 16).decode()
    return output


def test_nothing_is_written_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("rendering", 0.001):
        pass
    assert capsys.readouterr() == ("", "")


def test_the_line_appears_after_the_delay_and_is_removed() -> None:
    with terminal_as_stderr() as screen:
        with show_progress("rendering", 0.01):
            assert read_until(screen, "s)").startswith(f"{REMOVAL}rendering (")
        assert read_until(screen, REMOVAL).endswith(REMOVAL)


def test_a_short_run_shows_no_line() -> None:
    with terminal_as_stderr() as screen:
        with show_progress("rendering", 60.0):
            pass
        assert read_until(screen, REMOVAL) == REMOVAL


def test_the_line_is_removed_after_an_error() -> None:
    with terminal_as_stderr() as screen:
        with pytest.raises(ValueError, match="broken"), show_progress("rendering", 60.0):
            raise ValueError("broken")
        assert read_until(screen, REMOVAL) == REMOVAL


def test_the_bar_fills_from_left_to_right() -> None:
    assert format_bar(0) == "[..............................]"
    assert format_bar(0.25) == "[#######.......................]"
    assert format_bar(1) == "[##############################]"
