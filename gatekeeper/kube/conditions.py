"""What is told in a cluster of any object: moments as Kubernetes writes them, the condition `Ready`, and events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from gatekeeper.model import get_field

# Kubernetes takes no more in an event.
MAX_MESSAGE_LENGTH = 1024
EVENT_COMPONENT = "gatekeeper"


class Event(NamedTuple):
    """What an event says: `Normal` or `Warning`, a word, and a sentence."""

    type: str
    reason: str
    message: str


def format_time(timestamp: float) -> str:
    """A moment, given in seconds since 1970, as Kubernetes writes it."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def find_condition(value: Any, condition_type: str) -> dict[str, Any]:
    """A condition that an object has; empty where it has none of that name."""
    held = get_field(value, ("status", "conditions"))
    return next((one for one in (held if isinstance(held, list) else ()) if one.get("type") == condition_type), {})


def find_ready_condition(value: Any) -> dict[str, Any]:
    """The condition `Ready` that an object has; empty where it has none."""
    return find_condition(value, "Ready")


def get_transition_time(value: Any, status: str, now: float, condition_type: str = "Ready") -> str:
    """Since when a condition has a status, if it has it already; else now."""
    held = find_condition(value, condition_type)
    when = held.get("lastTransitionTime") if held.get("status") == status else None
    return str(when or format_time(now))


def build_event(event: Event, value: Any, now: float, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    """An event about an object of a namespace, as Kubernetes takes it."""
    about = {name: value.get(name) for name in ("apiVersion", "kind")}
    about |= {name: get_field(value, ("metadata", name)) for name in ("namespace", "name", "uid", "resourceVersion")}
    metadata: dict[str, Any] = {"generateName": f"{about['name']}.", "namespace": about["namespace"]}
    if annotations:
        metadata["annotations"] = dict(annotations)
    when = format_time(now)
    return {
        "metadata": metadata,
        "involvedObject": about,
        "type": event.type,
        "reason": event.reason,
        "message": event.message[:MAX_MESSAGE_LENGTH],
        "source": {"component": EVENT_COMPONENT},
        "firstTimestamp": when,
        "lastTimestamp": when,
        "count": 1,
    }
