"""What is told of an ExternalSecret in the cluster: its status as external-secrets writes it, and events.

A status says more than that of external-secrets where something failed: the root cause, with no value in it; and it is
not ready where only a part is there, or nothing. Source: external-secrets
`apis/externalsecrets/v1/externalsecret_types.go`, `pkg/controllers/externalsecret/util.go`.
"""

from __future__ import annotations

from typing import Any

from gatekeeper.externalsecrets.decision import Decision
from gatekeeper.externalsecrets.refresh_schedule import version_of
from gatekeeper.kube import conditions
from gatekeeper.kube.conditions import MOST_MESSAGE, Told
from gatekeeper.model import at

SYNCED, FAILED, DELETED, MISSING = "SecretSynced", "SecretSyncedError", "SecretDeleted", "SecretMissing"


def condition_of(decision: Decision) -> tuple[str, str, str]:
    """The condition `Ready`: its status, reason and message."""
    if decision.action == "delete":
        return "True", DELETED, "secret deleted due to DeletionPolicy=Delete"
    if decision.is_synced:
        return "True", SYNCED, "secret synced"
    reason = MISSING if decision.action == "wait" else FAILED
    return "False", reason, decision.reason[:MOST_MESSAGE]


def status_of(decision: Decision, value: Any, now: float) -> dict[str, Any]:
    """The status of an ExternalSecret after a decision was carried out.

    Args:
        value: the object as it is in the cluster.
        now: seconds since 1970, when its stores were read.
    """
    before = at(value, ("status",)) or {}
    status, reason, message = condition_of(decision)
    kept = [one for one in before.get("conditions") or () if one.get("type") != "Ready"]
    condition = {
        "type": "Ready", "status": status, "reason": reason, "message": message,
        "lastTransitionTime": conditions.since(value, status, now),
    }  # fmt: skip
    found = {**before, "conditions": [*kept, condition]}
    if decision.action != "failed":
        found |= {"refreshTime": conditions.time_of(now), "syncedResourceVersion": version_of(value)}
        if decision.action != "wait" and decision.wanted.target.creation != "None":
            found["binding"] = {"name": decision.wanted.target.name}
    return found


def events_of(decision: Decision, value: Any) -> list[Told]:
    """What is worth an event: what was done, and what failed of a new reason."""
    if decision.action == "failed" or not decision.is_synced:
        message = condition_of(decision)[2]
        # Told once, and not at every try.
        return (
            [] if conditions.ready_of(value).get("message") == message else [Told("Warning", "UpdateFailed", message)]
        )
    words: dict[str, tuple[str, str]] = {
        "create": ("Created", "secret created"),
        "change": ("Updated", "secret updated"),
        "delete": ("Deleted", "secret deleted due to DeletionPolicy=Delete"),
    }
    return [Told("Normal", *words[decision.action])] if decision.action in words else []
