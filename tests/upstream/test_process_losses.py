"""Processes that are lost in a row: the program rests for a while, and is then tried again."""

from __future__ import annotations

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.upstream.process_losses import MAX_LOSSES, MAX_SILENT_LOSSES, PAUSE_SECONDS, ProcessLosses


class Clock:
    """A clock that a test moves."""

    seconds = 5.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(("is_silent", "count"), [(False, MAX_LOSSES), (True, MAX_SILENT_LOSSES)])
def test_a_program_rests_after_some_losses(is_silent: bool, count: int) -> None:
    clock = Clock()
    losses = ProcessLosses("program -files", clock)
    for _ in range(count):
        losses.check()
        losses.add("it ended", is_silent=is_silent)
    with pytest.raises(
        ToolError, match=rf"^program failed {count} times in a row, the last time because it ended; run"
    ):
        losses.check()
    clock.seconds += PAUSE_SECONDS
    losses.check()
    losses.add("it ended", is_silent=is_silent)
    with pytest.raises(ToolError, match=f"failed {count + 1} times"):
        losses.check()


def test_an_answer_forgets_the_losses() -> None:
    losses = ProcessLosses("program", Clock())
    for _ in range(3 * MAX_LOSSES):
        losses.add("it ended", is_silent=True)
        losses.clear()
        losses.check()


def test_a_process_is_counted_once_however_many_calls_it_had() -> None:
    losses, process = ProcessLosses("program", Clock()), object()
    for _ in range(3 * MAX_LOSSES):
        losses.add("it ended", is_silent=True, process=process)
    losses.check()
