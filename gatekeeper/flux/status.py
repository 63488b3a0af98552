"""What is told of a Kustomization in the cluster: its status, as `flux get` and kstatus read it.

Source: kustomize-controller `api/v1/kustomization_types.go`, `docs/spec/v1/kustomizations.md`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from gatekeeper.apply import inventory
from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.model import ReconcileOutcome
from gatekeeper.apply.order import Object
from gatekeeper.apply.server_side_apply import ObjectChange, PruneResult
from gatekeeper.flux.ownership import GROUP
from gatekeeper.kube import conditions as kube_conditions
from gatekeeper.kube import events as kube_events
from gatekeeper.kube.conditions import MAX_MESSAGE_LENGTH, Condition
from gatekeeper.kube.events import Event
from gatekeeper.model import format_path, get_field

# Whoever writes another moment there asks for a round.
RECONCILE_REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"
MAX_HISTORY, MAX_FIELDS = 5, 10


class ReconcileAttempt(NamedTuple):
    """When something came of a Kustomization, of which revision, and whether all that was waited for is there.

    Attributes:
        started_at, finished_at: seconds since 1970.
        is_healthy: None where nothing was waited for.
    """

    revision: str
    started_at: float
    finished_at: float
    is_healthy: bool | None = None


def build_status(
    kustomization: Object, outcome: ReconcileOutcome, entries: Sequence[InventoryEntry], attempt: ReconcileAttempt
) -> dict[str, Any]:
    """The status.

    Args:
        entries: what is now applied.
    """
    ready = _build_condition(
        kustomization, "Ready", outcome.is_ready, outcome.reason, outcome.message, attempt.finished_at
    )
    conditions = [ready]
    if attempt.is_healthy is not None:
        reason, text = ("Succeeded", "all is there") if attempt.is_healthy else ("Failed", outcome.message)
        conditions.append(
            _build_condition(kustomization, "Healthy", attempt.is_healthy, reason, text, attempt.finished_at)
        )
    found = {
        "conditions": conditions,
        "lastAttemptedRevision": attempt.revision,
        "observedGeneration": get_field(kustomization, ("metadata", "generation")),
        "inventory": build_inventory(entries),
        "history": _build_history(kustomization, outcome, entries, attempt),
    }
    if outcome.is_ready:
        found["lastAppliedRevision"] = attempt.revision
    asked = get_field(kustomization, ("metadata", "annotations", RECONCILE_REQUESTED_AT))
    if asked:
        found["lastHandledReconcileAt"] = asked
    return found


def build_refusal_status(kustomization: Object, outcome: ReconcileOutcome, revision: str, now: float) -> dict[str, Any]:
    """The status of what was not even tried."""
    ready = _build_condition(kustomization, "Ready", False, outcome.reason, outcome.message, now)
    found = {"conditions": [ready], "observedGeneration": get_field(kustomization, ("metadata", "generation"))}
    return {**found, "lastAttemptedRevision": revision} if revision else found


def build_progress_status(
    kustomization: Object, entries: Sequence[InventoryEntry], revision: str, checks: Sequence[object], now: float
) -> dict[str, Any]:
    """The status while it is waited for what was applied."""
    message = f"Running health checks for revision {revision}: {len(checks)} objects"
    generation = get_field(kustomization, ("metadata", "generation"))
    conditions = [
        {
            "type": name,
            "status": status,
            "reason": "Progressing",
            "message": message,
            "observedGeneration": generation,
            "lastTransitionTime": kube_conditions.format_time(now),
        }
        for name, status in (("Reconciling", "True"), ("Ready", "Unknown"))
    ]
    return {"conditions": conditions, "inventory": build_inventory(entries), "lastAttemptedRevision": revision}


def _build_condition(
    value: Object, condition_type: str, is_true: bool, reason: str, message: str, now: float
) -> dict[str, Any]:
    condition = Condition(condition_type, "True" if is_true else "False", reason, message)
    return kube_conditions.build_condition(condition, value, now)


def _build_history(
    kustomization: Object, outcome: ReconcileOutcome, entries: Sequence[InventoryEntry], attempt: ReconcileAttempt
) -> list[dict[str, Any]]:
    """What came of it lately, the newest first: one entry for what was applied and what came of that.

    Source: fluxcd/pkg `apis/meta/history.go`.
    """
    listed = orjson.dumps([[one.id, one.version] for one in entries])
    digest = f"sha256:{hashlib.sha256(attempt.revision.encode() + listed).hexdigest()}"
    before = get_field(kustomization, ("status", "history"))
    before = before if isinstance(before, list) else []
    when = kube_conditions.format_time(attempt.finished_at)
    same = [one for one in before if (one.get("digest"), one.get("lastReconciledStatus")) == (digest, outcome.reason)]
    entry = {
        "digest": digest,
        "firstReconciled": same[0].get("firstReconciled", when) if same else when,
        "lastReconciled": when,
        "lastReconciledDuration": f"{max(0.0, attempt.finished_at - attempt.started_at):.3f}s",
        "lastReconciledStatus": outcome.reason,
        "totalReconciliations": int(same[0].get("totalReconciliations") or 0) + 1 if same else 1,
        "metadata": {"revision": attempt.revision},
    }
    return [entry, *(one for one in before if one not in same)][:MAX_HISTORY]


def build_events(
    kustomization: Object, outcome: ReconcileOutcome, revision: str, changes: Sequence[ObjectChange], now: float
) -> list[dict[str, Any]]:
    """Events, as Flux's notifications read them: what came of it where that is another than before, and drift."""
    told = []
    message = outcome.message[:MAX_MESSAGE_LENGTH]
    ready = kube_conditions.find_ready_condition(kustomization)
    if (ready.get("reason"), ready.get("message")) != (outcome.reason, message):
        told.append(Event("Normal" if outcome.is_ready else "Warning", outcome.reason, message))
    if get_field(kustomization, ("status", "lastAppliedRevision")) == revision:
        # Nothing is new in Git: somebody has changed the cluster.
        lines = describe_drift(changes)
        if lines:
            told.append(Event("Warning", "DriftCorrected", "; ".join(lines)))
    marks = {f"{GROUP}/revision": revision}
    return [kube_events.build_event(one, kustomization, now, marks) for one in told]


def describe_drift(changes: Sequence[ObjectChange]) -> list[str]:
    """What somebody has changed: which fields, and who it was."""
    return [
        f"{change} was changed{f' by {change.changed_by}' if change.changed_by else ''}: "
        f"{', '.join(format_path(field) for field in change.fields[:MAX_FIELDS])}"
        for change in changes
        if change.action == "configure" and change.fields
    ] + [f"{change} was gone" for change in changes if change.action == "create"]


def build_inventory(entries: Sequence[InventoryEntry]) -> dict[str, Any]:
    """An inventory, for a status."""
    return {"entries": [{"id": one.id, "v": one.version} for one in entries]}


def merge_inventory(
    previous: Sequence[InventoryEntry], changes: Sequence[ObjectChange], pruned: Sequence[PruneResult] | None
) -> list[InventoryEntry]:
    """What is applied after a run: nothing that may still be there is ever forgotten.

    Args:
        pruned: what became of what is applied no more; None where nothing was taken away.
    """
    now = [inventory.entry_of(change.value) for change in changes]
    ids = {entry.id for entry in now}
    left = [one.entry for one in pruned if one.action == "failed"] if pruned is not None else list(previous)
    return [*now, *(entry for entry in left if entry.id not in ids)]
