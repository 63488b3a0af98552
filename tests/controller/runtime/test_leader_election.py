"""A replica that was too slow to keep its share writes nothing more of it."""

from __future__ import annotations

import pytest

from gatekeeper.apply.model import Act, Asked, Done, Outcome
from gatekeeper.controller.flux.controller import fenced
from gatekeeper.errors import ToolError
from tests.flux.test_reconciler import flux


def test_what_is_another_s_is_neither_applied_nor_deleted_and_what_was_done_is_noted() -> None:
    noted: list[str] = []
    mine = [True]
    fence = fenced(lambda act: noted.append(act.step), lambda name: mine[0])
    done = Done(Asked(flux(), "apps", ()), Outcome(True, "x", ""))
    fence(Act("apply", done))
    mine[0] = False
    for step in ("apply", "delete"):
        with pytest.raises(ToolError, match="this replica has it no more"):
            fence(Act(step, done))
    # What was done was done, whoever leads now.
    fence(Act("done", done))
    assert noted == ["apply", "done"]
