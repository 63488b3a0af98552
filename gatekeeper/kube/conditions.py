"""Status conditions of Kubernetes objects, and times as Kubernetes writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gatekeeper.model import get_field
from gatekeeper.named_tuple import NamedTuple

# The longest message of an event, and the length that messages of conditions are cut to.
MAX_MESSAGE_LENGTH = 1024


class Condition(NamedTuple):
    """The content of a condition: its type, `True`, `False` or `Unknown`, a reason in CamelCase, and a sentence."""

    type: str
    status: str
    reason: str
    message: str


def format_time(timestamp: float) -> str:
    """A time in seconds since 1970, as Kubernetes writes it (`2027-01-31T08:00:00Z`)."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def find_condition(value: Any, condition_type: str) -> dict[str, Any]:
    """The condition of a type in the status of an object; empty if there is none."""
    conditions = get_field(value, ("status", "conditions"))
    listed = conditions if isinstance(conditions, list) else ()
    return next((condition for condition in listed if condition.get("type") == condition_type), {})


def find_ready_condition(value: Any) -> dict[str, Any]:
    """The condition `Ready` in the status of an object; empty if there is none."""
    return find_condition(value, "Ready")


def get_transition_time(value: Any, status: str, now: float, condition_type: str = "Ready") -> str:
    """The time since when a condition of an object has a status: its own, or `now` if it did not have that status.

    Args:
        now: seconds since 1970.
    """
    condition = find_condition(value, condition_type)
    since = condition.get("lastTransitionTime") if condition.get("status") == status else None
    return str(since or format_time(now))


def build_condition(condition: Condition, value: Any, now: float) -> dict[str, Any]:
    """A condition as the status of an object has it; an unchanged status keeps its transition time.

    Args:
        value: the object as it was read.
        now: seconds since 1970.
    """
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message[:MAX_MESSAGE_LENGTH],
        "observedGeneration": get_field(value, ("metadata", "generation")),
        "lastTransitionTime": get_transition_time(value, condition.status, now, condition.type),
    }
