"""The status of an ExternalSecret, as external-secrets writes it, and the events about it.

Unlike that of external-secrets, the message names the root cause of a failure, without any value, and the condition
`Ready` is False if some or all secrets are missing. Source: external-secrets
`apis/externalsecrets/v1/externalsecret_types.go`, `pkg/controllers/externalsecret/util.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
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
# Reason and message of the event about each write.
WRITE_EVENTS: Mapping[str, tuple[str, str]] = {
    "create": ("Created", "secret created"),
    "change": ("Updated", "secret updated"),
    "delete": ("Deleted", "secret deleted due to DeletionPolicy=Delete"),
}


def build_condition(decision: Decision) -> tuple[str, str, str]:
    """Return status, reason and message of the condition `Ready`."""
    if decision.action == "delete":
        return "True", REASON_DELETED, "secret deleted due to DeletionPolicy=Delete"
    if decision.is_synced:
        return "True", REASON_SYNCED, "secret synced"
    reason = REASON_MISSING if decision.action == "wait" else REASON_FAILED
    return "False", reason, decision.reason[:MAX_MESSAGE_LENGTH]


def build_status(decision: Decision, value: Any, now: float) -> dict[str, Any]:
    """Build the status of an ExternalSecret after a decision was applied.

    Args:
        value: the object as it is in the cluster.
        now: when its stores were read, in seconds since 1970.
    """
    previous = get_field(value, ("status",)) or {}
    status, reason, message = build_condition(decision)
    others = [entry for entry in previous.get("conditions") or () if entry.get("type") != "Ready"]
    condition = conditions.build_condition(Condition("Ready", status, reason, message), value, now)
    # external-secrets writes no generation here.
    del condition["observedGeneration"]
    built = {**previous, "conditions": [*others, condition]}
    if decision.action != "failed":
        built |= {"refreshTime": conditions.format_time(now), "syncedResourceVersion": compute_synced_version(value)}
        if decision.action != "wait" and decision.spec.target.creation_policy != "None":
            built["binding"] = {"name": decision.spec.target.name}
    return built


def build_events(decision: Decision, value: Any) -> list[Event]:
    """Build the events about a decision: a write, or a failure with a new reason."""
    if not decision.is_synced:
        message = build_condition(decision)[2]
        # The same failure causes one event, not one per attempt.
        is_known = conditions.find_ready_condition(value).get("message") == message
        return [] if is_known else [Event("Warning", "UpdateFailed", message)]
    return [Event("Normal", *WRITE_EVENTS[decision.action])] if decision.action in WRITE_EVENTS else []
