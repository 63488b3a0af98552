"""What is told of a Kustomization in the cluster: its status, as `flux get` and kstatus read it.

Source: kustomize-controller `api/v1/kustomization_types.go`, `docs/spec/v1/kustomizations.md`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from gatekeeper.apply import inventory
from gatekeeper.apply.inventory import Entry
from gatekeeper.apply.model import Outcome
from gatekeeper.apply.order import Object
from gatekeeper.apply.server_side_apply import Change, Gone
from gatekeeper.flux.ownership import GROUP
from gatekeeper.kube import conditions as kube_conditions
from gatekeeper.kube.conditions import MOST_MESSAGE, Told
from gatekeeper.model import at, dotted

# Whoever writes another moment there asks for a round.
REQUESTED = "reconcile.fluxcd.io/requestedAt"
MOST_HISTORY, MOST_FIELDS = 5, 10


class Moment(NamedTuple):
    """When something came of a Kustomization, of which revision, and whether all that was waited for is there.

    Attributes:
        began, now: seconds since 1970.
        is_healthy: None where nothing was waited for.
    """

    revision: str
    began: float
    now: float
    is_healthy: bool | None = None


def status_of(kustomization: Object, outcome: Outcome, held: Sequence[Entry], moment: Moment) -> dict[str, Any]:
    """The status.

    Args:
        held: what is now applied.
    """
    ready = _condition(kustomization, "Ready", outcome.is_ready, outcome.reason, outcome.message, moment.now)
    conditions = [ready]
    if moment.is_healthy is not None:
        reason, text = ("Succeeded", "all is there") if moment.is_healthy else ("Failed", outcome.message)
        conditions.append(_condition(kustomization, "Healthy", moment.is_healthy, reason, text, moment.now))
    found = {
        "conditions": conditions, "lastAttemptedRevision": moment.revision,
        "observedGeneration": at(kustomization, ("metadata", "generation")), "inventory": inventory_of(held),
        "history": _history(kustomization, outcome, held, moment),
    }  # fmt: skip
    if outcome.is_ready:
        found["lastAppliedRevision"] = moment.revision
    asked = at(kustomization, ("metadata", "annotations", REQUESTED))
    if asked:
        found["lastHandledReconcileAt"] = asked
    return found


def refusal_of(kustomization: Object, outcome: Outcome, revision: str, now: float) -> dict[str, Any]:
    """The status of what was not even tried."""
    ready = _condition(kustomization, "Ready", False, outcome.reason, outcome.message, now)
    found = {"conditions": [ready], "observedGeneration": at(kustomization, ("metadata", "generation"))}
    return {**found, "lastAttemptedRevision": revision} if revision else found


def progressing(
    kustomization: Object, held: Sequence[Entry], revision: str, checks: Sequence[object], now: float
) -> dict[str, Any]:
    """The status while it is waited for what was applied."""
    message = f"Running health checks for revision {revision}: {len(checks)} objects"
    generation = at(kustomization, ("metadata", "generation"))
    conditions = [
        {
            "type": name, "status": status, "reason": "Progressing", "message": message,
            "observedGeneration": generation, "lastTransitionTime": kube_conditions.time_of(now),
        }
        for name, status in (("Reconciling", "True"), ("Ready", "Unknown"))
    ]  # fmt: skip
    return {"conditions": conditions, "inventory": inventory_of(held), "lastAttemptedRevision": revision}


def _condition(value: Object, name: str, is_true: bool, reason: str, message: str, now: float) -> dict[str, Any]:
    status = "True" if is_true else "False"
    return {
        "type": name, "status": status, "reason": reason, "message": message[:MOST_MESSAGE],
        "observedGeneration": at(value, ("metadata", "generation")),
        "lastTransitionTime": kube_conditions.since(value, status, now, name),
    }  # fmt: skip


def _history(kustomization: Object, outcome: Outcome, held: Sequence[Entry], moment: Moment) -> list[dict[str, Any]]:
    """What came of it lately, the newest first: one entry for what was applied and what came of that.

    Source: fluxcd/pkg `apis/meta/history.go`.
    """
    listed = orjson.dumps([[one.id, one.version] for one in held])
    digest = f"sha256:{hashlib.sha256(moment.revision.encode() + listed).hexdigest()}"
    before = at(kustomization, ("status", "history"))
    before = before if isinstance(before, list) else []
    when = kube_conditions.time_of(moment.now)
    same = [one for one in before if (one.get("digest"), one.get("lastReconciledStatus")) == (digest, outcome.reason)]
    entry = {
        "digest": digest, "firstReconciled": same[0].get("firstReconciled", when) if same else when,
        "lastReconciled": when, "lastReconciledDuration": f"{max(0.0, moment.now - moment.began):.3f}s",
        "lastReconciledStatus": outcome.reason,
        "totalReconciliations": int(same[0].get("totalReconciliations") or 0) + 1 if same else 1,
        "metadata": {"revision": moment.revision},
    }  # fmt: skip
    return [entry, *(one for one in before if one not in same)][:MOST_HISTORY]


def events_of(
    kustomization: Object, outcome: Outcome, revision: str, changes: Sequence[Change], now: float
) -> list[dict[str, Any]]:
    """Events, as Flux's notifications read them: what came of it where that is another than before, and drift."""
    told = []
    message = outcome.message[:MOST_MESSAGE]
    ready = kube_conditions.ready_of(kustomization)
    if (ready.get("reason"), ready.get("message")) != (outcome.reason, message):
        told.append(Told("Normal" if outcome.is_ready else "Warning", outcome.reason, message))
    if at(kustomization, ("status", "lastAppliedRevision")) == revision:
        # Nothing is new in Git: somebody has changed the cluster.
        lines = drift_of(changes)
        if lines:
            told.append(Told("Warning", "DriftCorrected", "; ".join(lines)))
    marks = {f"{GROUP}/revision": revision}
    return [kube_conditions.event(one, kustomization, now, marks) for one in told]


def drift_of(changes: Sequence[Change]) -> list[str]:
    """What somebody has changed: which fields, and who it was."""
    return [
        f"{change} was changed{f' by {change.by}' if change.by else ''}: "
        f"{', '.join(dotted(field) for field in change.fields[:MOST_FIELDS])}"
        for change in changes
        if change.action == "configure" and change.fields
    ] + [f"{change} was gone" for change in changes if change.action == "create"]


def inventory_of(held: Sequence[Entry]) -> dict[str, Any]:
    """An inventory, for a status."""
    return {"entries": [{"id": one.id, "v": one.version} for one in held]}


def kept(before: Sequence[Entry], changes: Sequence[Change], gone: Sequence[Gone] | None) -> list[Entry]:
    """What is applied after a run: nothing that may still be there is ever forgotten.

    Args:
        gone: what became of what is applied no more; None where nothing was taken away.
    """
    now = [inventory.entry_of(change.value) for change in changes]
    ids = {entry.id for entry in now}
    left = [one.entry for one in gone if one.action == "failed"] if gone is not None else list(before)
    return [*now, *(entry for entry in left if entry.id not in ids)]
