"""Audit entries: their content, and a replica that has lost its Lease."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from gatekeeper.apply.changes import ObjectChange
from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.model import ApplySet, AuditEvent, ReconcileOutcome, ReconcileResult
from gatekeeper.apply.prune import PruneResult
from gatekeeper.controller.runtime.audit_log import AuditLog
from gatekeeper.controller.runtime.audit_recorder import MAX_FIELDS, AuditRecorder, fence_recorder
from gatekeeper.errors import ToolError
from gatekeeper.repositories.provenance import CommitProvenance
from tests.flux.test_reconciler import flux

SECRET: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "s", "namespace": "prod"},
    "data": {"password": "aHVudGVyMg=="},
}


def test_a_replica_without_the_lease_records_outcomes_but_no_changes() -> None:
    recorded: list[str] = []
    is_assigned = [True]
    fence = fence_recorder(lambda event: recorded.append(event.step), lambda name: is_assigned[0])
    done = ReconcileResult(ApplySet(flux(), "apps", ()), ReconcileOutcome(True, "x", ""))
    fence(AuditEvent("apply", done))
    is_assigned[0] = False
    for step in ("apply", "delete"):
        with pytest.raises(ToolError, match="lost the Lease of this shard"):
            fence(AuditEvent(step, done))
    # What was done was done, whoever leads now.
    fence(AuditEvent("done", done))
    assert recorded == ["apply", "done"]


def record(folder: Path, *events: AuditEvent) -> list[dict[str, Any]]:
    log = AuditLog(folder / "audit.jsonl")
    recorder = AuditRecorder(log, {"Kustomization": lambda name: CommitProvenance("ann", "key", "#7")})
    for event in events:
        recorder.record(event)
    log.close()
    return [orjson.loads(line) for line in (folder / "audit.jsonl").read_bytes().splitlines()]


def test_an_entry_lists_changed_fields_without_their_values(tmp_path: Path) -> None:
    fields = tuple(("data", f"key{number}") for number in range(MAX_FIELDS + 5))
    changes = [
        ObjectChange(SECRET, "configure", fields=fields, changed_by="kubectl"),
        ObjectChange(SECRET, "unchanged"),
    ]
    pruned = [
        PruneResult(InventoryEntry("prod", "old", "", "ConfigMap", "v1"), "delete"),
        PruneResult(InventoryEntry("prod", "gone", "", "ConfigMap", "v1"), "gone"),
    ]
    result = ReconcileResult(ApplySet(flux(), "apps", [SECRET]), ReconcileOutcome(False, "x", "y"), changes, pruned)
    [entry] = record(tmp_path, AuditEvent("apply", result, "main@sha1:1", approved_revision="main@sha1:1"))
    assert (entry["author"], entry["signer"], entry["change"], entry["approved"]) == ("ann", "key", "#7", "main@sha1:1")
    assert [(change["object"], change["action"]) for change in entry["changes"]] == [
        ("Secret prod/s", "configure"),
        ("ConfigMap prod/old", "delete"),
    ]
    assert len(entry["changes"][0]["fields"]) == MAX_FIELDS and entry["changes"][0]["changedBy"] == "kubectl"
    assert b"aHVudGVyMg" not in (tmp_path / "audit.jsonl").read_bytes()


def test_an_unchanged_outcome_is_recorded_once(tmp_path: Path) -> None:
    ready = ReconcileResult(ApplySet(flux(), "apps", ()), ReconcileOutcome(True, "ok", "done"))
    failed = ready._replace(outcome=ReconcileOutcome(False, "bad", "done"))
    events = [AuditEvent("done", result) for result in (ready, ready, failed, ready)]
    assert [entry["reason"] for entry in record(tmp_path, *events)] == ["ok", "bad", "ok"]
