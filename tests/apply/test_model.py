"""The input and results of a reconcile, and the steps that the audit log gets."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gatekeeper.apply.model import ApplySet, AuditEvent, ReconcileContext, ReconcileOutcome, ReconcileResult
from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import ToolError
from gatekeeper.model import NamespacedName, Verdict
from gatekeeper.secret_value import SecretBytes
from tests.controller.flux.test_kustomizations import unreachable_cluster

__all__ = ["unreachable_cluster"]
PARENT = {"metadata": {"name": "apps", "namespace": "team"}}


def test_a_set_is_named_by_its_parent_in_the_default_namespace() -> None:
    assert ApplySet(PARENT, "apps", ()).name == NamespacedName("team", "apps")
    assert ApplySet({"metadata": {"name": "apps"}}, "apps", ()).name == NamespacedName("default", "apps")


def test_secret_values_of_a_set_are_not_printed() -> None:
    assert "hidden-word" not in repr(ApplySet(PARENT, "apps", (), secret_values=(SecretBytes(b"hidden-word"),)))


def test_only_a_ready_outcome_is_ready() -> None:
    assert ReconcileOutcome.ready("ReconciliationSucceeded", "m") == (True, "ReconciliationSucceeded", "m")
    assert ReconcileOutcome.failed("BuildFailed", "m") == (False, "BuildFailed", "m")


def test_a_step_is_recorded_with_verdict_revision_and_approval(
    unreachable_cluster: DynamicClient, tmp_path: Path
) -> None:
    events: list[AuditEvent] = []
    verdict = Verdict(revision="x")
    context = ReconcileContext(
        unreachable_cluster, verdict, "main", PruneBudget(), "approved", True, threading.Event(), events.append
    )
    result = ReconcileResult(ApplySet(PARENT, "apps", ()), ReconcileOutcome.failed("a", "b"))
    context.record_step("delete", result)
    assert events == [AuditEvent("delete", result, "main", verdict, "approved")]


def test_a_step_that_cannot_be_recorded_is_an_error(unreachable_cluster: DynamicClient) -> None:
    def refuse(event: AuditEvent) -> None:
        raise ToolError("the audit log is full")

    context = ReconcileContext(unreachable_cluster, Verdict(), "", PruneBudget(), "", True, threading.Event(), refuse)
    with pytest.raises(ToolError, match="audit log is full"):
        context.record_step("apply", ReconcileResult(ApplySet(PARENT, "", ()), ReconcileOutcome.ready("a", "b")))
