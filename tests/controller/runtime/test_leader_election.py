"""A replica that was too slow to keep its share writes nothing more of it."""

from __future__ import annotations

import pytest

from gatekeeper.apply.model import ApplySet, AuditEvent, ReconcileOutcome, ReconcileResult
from gatekeeper.controller.runtime.audit_recorder import fence_recorder
from gatekeeper.errors import ToolError
from tests.flux.test_reconciler import flux


def test_what_is_another_s_is_neither_applied_nor_deleted_and_what_was_done_is_noted() -> None:
    noted: list[str] = []
    mine = [True]
    fence = fence_recorder(lambda act: noted.append(act.step), lambda name: mine[0])
    done = ReconcileResult(ApplySet(flux(), "apps", ()), ReconcileOutcome(True, "x", ""))
    fence(AuditEvent("apply", done))
    mine[0] = False
    for step in ("apply", "delete"):
        with pytest.raises(ToolError, match="lost the Lease of this shard"):
            fence(AuditEvent(step, done))
    # What was done was done, whoever leads now.
    fence(AuditEvent("done", done))
    assert noted == ["apply", "done"]
