"""The status of a Kustomization: conditions, history, inventory and events."""

from __future__ import annotations

from typing import Any

from gatekeeper.apply.changes import ObjectChange
from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.model import ReconcileOutcome
from gatekeeper.apply.prune import PruneResult
from gatekeeper.flux import status
from gatekeeper.flux.status import ReconcileAttempt

READY = ReconcileOutcome.ready("ReconciliationSucceeded", "Applied revision: r1")
FAILED = ReconcileOutcome.failed("HealthCheckFailed", "not ready")
ENTRY = InventoryEntry("prod", "x", "", "ConfigMap", "v1")
OBJECT: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "prod"}}


def kustomization(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": "apps", "namespace": "flux-system", "generation": 3}, **fields}


def test_failed_reconcile_keeps_the_last_applied_revision() -> None:
    attempt = ReconcileAttempt("r1", 100.0, 101.5, False)
    built = status.build_status(kustomization(), FAILED, [ENTRY], attempt)
    assert [(one["type"], one["status"]) for one in built["conditions"]] == [("Ready", "False"), ("Healthy", "False")]
    assert "lastAppliedRevision" not in built and built["lastAttemptedRevision"] == "r1"
    assert built["inventory"] == {"entries": [{"id": ENTRY.id, "v": "v1"}]}
    assert status.build_status(kustomization(), READY, [], attempt)["lastAppliedRevision"] == "r1"


def test_equal_reconciles_share_one_entry_of_the_history() -> None:
    value = kustomization()
    for number in range(3):
        attempt = ReconcileAttempt("r1", float(number), number + 0.5)
        value["status"] = status.build_status(value, READY, [ENTRY], attempt)
    [entry] = value["status"]["history"]
    assert (entry["totalReconciliations"], entry["lastReconciledDuration"]) == (3, "0.500s")
    for number in range(10):
        value["status"] = status.build_status(value, READY, [ENTRY], ReconcileAttempt(f"r{number}", 0.0, 1.0))
    assert len(value["status"]["history"]) == status.MAX_HISTORY
    assert value["status"]["history"][0]["metadata"] == {"revision": "r9"}


def test_handled_request_is_recorded() -> None:
    value = kustomization()
    value["metadata"]["annotations"] = {status.RECONCILE_REQUESTED_AT: "now"}
    built = status.build_status(value, READY, [], ReconcileAttempt("r1", 0.0, 1.0))
    assert built["lastHandledReconcileAt"] == "now"


def test_unchanged_outcome_is_not_an_event_and_drift_is_one() -> None:
    ready = {"type": "Ready", "status": "True", "reason": READY.reason, "message": READY.message}
    value = kustomization(status={"conditions": [ready], "lastAppliedRevision": "r1"})
    assert status.list_events(value, READY, "r1", []) == []
    changed = ObjectChange(OBJECT, "configure", fields=(("data", "a"),), changed_by="kubectl-edit")
    [drift] = status.list_events(value, READY, "r1", [changed, ObjectChange(OBJECT, "create")])
    assert drift.reason == "DriftCorrected"
    assert drift.message == ("ConfigMap prod/x was changed by kubectl-edit: data.a; ConfigMap prod/x was deleted")
    # A new revision explains the changes.
    assert [event.reason for event in status.list_events(value, FAILED, "r2", [changed])] == ["HealthCheckFailed"]


def test_inventory_keeps_what_may_still_exist() -> None:
    other = ENTRY._replace(name="other")
    applied = [ObjectChange(OBJECT, "unchanged")]
    assert status.merge_inventory([ENTRY, other], applied, None) == [ENTRY, other]
    assert status.merge_inventory([ENTRY, other], applied, [PruneResult(other, "delete")]) == [ENTRY]
    assert status.merge_inventory([ENTRY, other], applied, [PruneResult(other, "failed", "no")]) == [ENTRY, other]


def test_progress_is_unknown_and_a_refusal_names_its_revision() -> None:
    progress = status.build_progress_status(kustomization(), [ENTRY], "r1", 4, 1.0)
    assert [(one["type"], one["status"]) for one in progress["conditions"]] == [
        ("Reconciling", "True"),
        ("Ready", "Unknown"),
    ]
    assert progress["conditions"][0]["message"] == "Running health checks for revision r1: 4 objects"
    refused = status.build_refusal_status(kustomization(), FAILED, "", 1.0)
    assert "lastAttemptedRevision" not in refused and "inventory" not in refused
    assert status.build_refusal_status(kustomization(), FAILED, "r2", 1.0)["lastAttemptedRevision"] == "r2"
