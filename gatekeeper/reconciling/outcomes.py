"""What is told of a Kustomization in the cluster: its status, as `flux get` and kstatus read it.

Source: kustomize-controller `api/v1/kustomization_types.go`, `docs/spec/v1/kustomizations.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gatekeeper import telling
from gatekeeper.model import at
from gatekeeper.reconciling import inventory
from gatekeeper.reconciling.applying import Change, Gone
from gatekeeper.reconciling.inventory import Entry
from gatekeeper.reconciling.marking import GROUP
from gatekeeper.reconciling.ordering import Object
from gatekeeper.telling import MOST_MESSAGE, Told


class Outcome(NamedTuple):
    """What came of a Kustomization: a word that Flux has for it, or one of ours, and a sentence."""

    is_ready: bool
    reason: str
    message: str


def status_of(
    kustomization: Object, outcome: Outcome, revision: str, held: Sequence[Entry], now: float
) -> dict[str, Any]:
    """The status.

    Args:
        held: what is now applied.
        now: seconds since 1970.
    """
    status = "True" if outcome.is_ready else "False"
    generation = at(kustomization, ("metadata", "generation"))
    condition = {
        "type": "Ready", "status": status, "reason": outcome.reason, "message": outcome.message[:MOST_MESSAGE],
        "observedGeneration": generation, "lastTransitionTime": telling.since(kustomization, status, now),
    }  # fmt: skip
    found = {
        "conditions": [condition], "lastAttemptedRevision": revision, "observedGeneration": generation,
        "inventory": inventory_of(held),
    }  # fmt: skip
    if outcome.is_ready:
        found["lastAppliedRevision"] = revision
    return found


def event_of(kustomization: Object, outcome: Outcome, revision: str, now: float) -> dict[str, Any] | None:
    """An event, as Flux's notifications read it; None where the same was told before."""
    told = Told("Normal" if outcome.is_ready else "Warning", outcome.reason, outcome.message)
    ready = telling.ready_of(kustomization)
    if (ready.get("reason"), ready.get("message")) == (told.reason, told.message[:MOST_MESSAGE]):
        return None
    return telling.event(told, kustomization, now, {f"{GROUP}/revision": revision})


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
