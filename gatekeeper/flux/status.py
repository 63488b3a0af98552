"""The status and events of a Kustomization, as `flux get` and kstatus read them.

Source: kustomize-controller `api/v1/kustomization_types.go`, `docs/spec/v1/kustomizations.md`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from gatekeeper.apply import inventory
from gatekeeper.apply.changes import ObjectChange
from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.model import ReconcileOutcome
from gatekeeper.apply.prune import PruneResult
from gatekeeper.flux import dependencies
from gatekeeper.kube import conditions
from gatekeeper.kube.conditions import MAX_MESSAGE_LENGTH, Condition, build_condition
from gatekeeper.kube.events import Event
from gatekeeper.model import Object, format_path, get_field
from gatekeeper.named_tuple import NamedTuple

# A new value of this annotation requests a reconcile.
RECONCILE_REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"
# The longest history of a status, and the fields of one object that an event names.
MAX_HISTORY, MAX_FIELDS = 5, 10


class ReconcileAttempt(NamedTuple):
    """One reconcile of a Kustomization.

    Attributes:
        started_at, finished_at: seconds since 1970.
        is_healthy: whether the objects became healthy; None if the reconcile did not wait for that.
    """

    revision: str
    started_at: float
    finished_at: float
    is_healthy: bool | None = None


def build_status(
    kustomization: Object, outcome: ReconcileOutcome, entries: Sequence[InventoryEntry], attempt: ReconcileAttempt
) -> dict[str, Any]:
    """The status after a reconcile.

    Args:
        entries: the inventory after it.
    """
    now = attempt.finished_at
    status = {
        "conditions": [_build_ready_condition(kustomization, outcome, now)],
        "lastAttemptedRevision": attempt.revision,
        "observedGeneration": get_field(kustomization, ("metadata", "generation")),
        "inventory": build_inventory(entries),
        "history": _build_history(kustomization, outcome, entries, attempt),
    }
    if attempt.is_healthy is not None:
        reason, message = ("Succeeded", "all objects are ready") if attempt.is_healthy else ("Failed", outcome.message)
        health = "True" if attempt.is_healthy else "False"
        status["conditions"].append(build_condition(Condition("Healthy", health, reason, message), kustomization, now))
    if outcome.is_ready:
        status["lastAppliedRevision"] = attempt.revision
    requested_at = get_field(kustomization, ("metadata", "annotations", RECONCILE_REQUESTED_AT))
    if requested_at:
        status["lastHandledReconcileAt"] = requested_at
    return status


def build_refusal_status(kustomization: Object, outcome: ReconcileOutcome, revision: str, now: float) -> dict[str, Any]:
    """The status of a Kustomization that was not even tried; its inventory stays as it is.

    Args:
        revision: the revision that is refused; empty if none is known.
    """
    ready = _build_ready_condition(kustomization, outcome, now)
    status = {"conditions": [ready], "observedGeneration": get_field(kustomization, ("metadata", "generation"))}
    return {**status, "lastAttemptedRevision": revision} if revision else status


def build_progress_status(
    kustomization: Object, entries: Sequence[InventoryEntry], revision: str, check_count: int, now: float
) -> dict[str, Any]:
    """The status during the wait for the health of some objects."""
    message = f"Running health checks for revision {revision}: {check_count} objects"
    return {
        "conditions": [
            build_condition(Condition(condition_type, status, "Progressing", message), kustomization, now)
            for condition_type, status in (("Reconciling", "True"), ("Ready", "Unknown"))
        ],
        "inventory": build_inventory(entries),
        "lastAttemptedRevision": revision,
    }


def _build_ready_condition(kustomization: Object, outcome: ReconcileOutcome, now: float) -> dict[str, Any]:
    status = "True" if outcome.is_ready else "False"
    return build_condition(Condition("Ready", status, outcome.reason, outcome.message), kustomization, now)


def _build_history(
    kustomization: Object, outcome: ReconcileOutcome, entries: Sequence[InventoryEntry], attempt: ReconcileAttempt
) -> list[dict[str, Any]]:
    """The latest reconciles, the newest first; equal ones are counted in one entry.

    Source: fluxcd/pkg `apis/meta/history.go`.
    """
    listed = orjson.dumps([[entry.id, entry.version] for entry in entries])
    digest = f"sha256:{hashlib.sha256(attempt.revision.encode() + listed).hexdigest()}"
    recorded = get_field(kustomization, ("status", "history"))
    history: list[dict[str, Any]] = recorded if isinstance(recorded, list) else []
    same = [
        snapshot
        for snapshot in history
        if (snapshot.get("digest"), snapshot.get("lastReconciledStatus")) == (digest, outcome.reason)
    ]
    now = conditions.format_time(attempt.finished_at)
    latest = {
        "digest": digest,
        "firstReconciled": same[0].get("firstReconciled", now) if same else now,
        "lastReconciled": now,
        "lastReconciledDuration": f"{max(0.0, attempt.finished_at - attempt.started_at):.3f}s",
        "lastReconciledStatus": outcome.reason,
        "totalReconciliations": int(same[0].get("totalReconciliations") or 0) + 1 if same else 1,
        "metadata": {"revision": attempt.revision},
    }
    return [latest, *(snapshot for snapshot in history if snapshot not in same)][:MAX_HISTORY]


def list_events(
    kustomization: Object, outcome: ReconcileOutcome, revision: str, changes: Sequence[ObjectChange]
) -> list[Event]:
    """The events after a reconcile: the outcome where it is new, and corrected drift."""
    events = []
    message = outcome.message[:MAX_MESSAGE_LENGTH]
    ready = conditions.find_ready_condition(kustomization)
    if (ready.get("reason"), ready.get("message")) != (outcome.reason, message):
        events.append(Event("Normal" if outcome.is_ready else "Warning", outcome.reason, message))
    if dependencies.get_last_applied(kustomization) == revision:
        # Git is unchanged, so the changes are drift of the cluster.
        lines = describe_drift(changes)
        if lines:
            events.append(Event("Warning", "DriftCorrected", "; ".join(lines)))
    return events


def describe_drift(changes: Sequence[ObjectChange]) -> list[str]:
    """A line for each object that another client changed or deleted: which fields, and the field manager."""
    return [
        f"{change} was changed{f' by {change.changed_by}' if change.changed_by else ''}: "
        f"{', '.join(format_path(field) for field in change.fields[:MAX_FIELDS])}"
        for change in changes
        if change.action == "configure" and change.fields
    ] + [f"{change} was deleted" for change in changes if change.action == "create"]


def build_inventory(entries: Sequence[InventoryEntry]) -> dict[str, Any]:
    """The inventory of a status."""
    return {"entries": [{"id": entry.id, "v": entry.version} for entry in entries]}


def merge_inventory(
    previous: Sequence[InventoryEntry], changes: Sequence[ObjectChange], pruned: Sequence[PruneResult] | None
) -> list[InventoryEntry]:
    """The inventory after a reconcile: every object that may still exist stays in it.

    Args:
        pruned: the results of the prune; None if nothing was pruned.
    """
    applied = [inventory.entry_of(change.value) for change in changes]
    ids = {entry.id for entry in applied}
    remaining = [result.entry for result in pruned if result.action == "failed"] if pruned is not None else previous
    return [*applied, *(entry for entry in remaining if entry.id not in ids)]
