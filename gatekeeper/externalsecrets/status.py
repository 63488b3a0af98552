"""What is told of an ExternalSecret in the cluster: its status as external-secrets writes it, and events.

A status says more than that of external-secrets where something failed: the root cause, with no value in it; and it is
not ready where only a part is there, or nothing. Source: external-secrets
`apis/externalsecrets/v1/externalsecret_types.go`, `pkg/controllers/externalsecret/util.go`.
"""

from __future__ import annotations

from typing import Any

from gatekeeper.externalsecrets.decision import Decision
from gatekeeper.externalsecrets.refresh_schedule import compute_synced_version
from gatekeeper.kube import conditions
from gatekeeper.kube.conditions import MAX_MESSAGE_LENGTH, Condition
from gatekeeper.kube.events import Event
from gatekeeper.model import get_field

REASON_SYNCED, REASON_FAILED, REASON_DELETED, REASON_MISSING = (
    "SecretSynced",
    "SecretSyncedError",
    "SecretDeleted",
    "SecretMissing",
)


def build_condition(decision: Decision) -> tuple[str, str, str]:
    """The condition `Ready`: its status, reason and message."""
    if decision.action == "delete":
        return "True", REASON_DELETED, "secret deleted due to DeletionPolicy=Delete"
    if decision.is_synced:
        return "True", REASON_SYNCED, "secret synced"
    reason = REASON_MISSING if decision.action == "wait" else REASON_FAILED
    return "False", reason, decision.reason[:MAX_MESSAGE_LENGTH]


def build_status(decision: Decision, value: Any, now: float) -> dict[str, Any]:
    """The status of an ExternalSecret after a decision was carried out.

    Args:
        value: the object as it is in the cluster.
        now: seconds since 1970, when its stores were read.
    """
    before = get_field(value, ("status",)) or {}
    status, reason, message = build_condition(decision)
    kept = [one for one in before.get("conditions") or () if one.get("type") != "Ready"]
    condition = conditions.build_condition(Condition("Ready", status, reason, message), value, now)
    # external-secrets writes no generation here.
    del condition["observedGeneration"]
    found = {**before, "conditions": [*kept, condition]}
    if decision.action != "failed":
        found |= {"refreshTime": conditions.format_time(now), "syncedResourceVersion": compute_synced_version(value)}
        if decision.action != "wait" and decision.spec.target.creation_policy != "None":
            found["binding"] = {"name": decision.spec.target.name}
    return found


def build_events(decision: Decision, value: Any) -> list[Event]:
    """What is worth an event: what was done, and what failed of a new reason."""
    if decision.action == "failed" or not decision.is_synced:
        message = build_condition(decision)[2]
        # Told once, and not at every try.
        return (
            []
            if conditions.find_ready_condition(value).get("message") == message
            else [Event("Warning", "UpdateFailed", message)]
        )
    words: dict[str, tuple[str, str]] = {
        "create": ("Created", "secret created"),
        "change": ("Updated", "secret updated"),
        "delete": ("Deleted", "secret deleted due to DeletionPolicy=Delete"),
    }
    return [Event("Normal", *words[decision.action])] if decision.action in words else []
