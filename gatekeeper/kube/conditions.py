"""What is told in a cluster of any object: moments as Kubernetes writes them, the condition `Ready`, and events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from gatekeeper.model import at

# Kubernetes takes no more in an event.
MOST_MESSAGE = 1024
COMPONENT = "gatekeeper"


class Told(NamedTuple):
    """What an event says: `Normal` or `Warning`, a word, and a sentence."""

    type: str
    reason: str
    message: str


def time_of(now: float) -> str:
    """A moment, given in seconds since 1970, as Kubernetes writes it."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition_of(value: Any, name: str) -> dict[str, Any]:
    """A condition that an object has; empty where it has none of that name."""
    held = at(value, ("status", "conditions"))
    return next((one for one in (held if isinstance(held, list) else ()) if one.get("type") == name), {})


def ready_of(value: Any) -> dict[str, Any]:
    """The condition `Ready` that an object has; empty where it has none."""
    return condition_of(value, "Ready")


def since(value: Any, status: str, now: float, name: str = "Ready") -> str:
    """Since when a condition has a status, if it has it already; else now."""
    held = condition_of(value, name)
    when = held.get("lastTransitionTime") if held.get("status") == status else None
    return str(when or time_of(now))


def event(told: Told, value: Any, now: float, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    """An event about an object of a namespace, as Kubernetes takes it."""
    about = {name: value.get(name) for name in ("apiVersion", "kind")}
    about |= {name: at(value, ("metadata", name)) for name in ("namespace", "name", "uid", "resourceVersion")}
    metadata: dict[str, Any] = {"generateName": f"{about['name']}.", "namespace": about["namespace"]}
    if annotations:
        metadata["annotations"] = dict(annotations)
    when = time_of(now)
    return {
        "metadata": metadata, "involvedObject": about, "type": told.type, "reason": told.reason,
        "message": told.message[:MOST_MESSAGE], "source": {"component": COMPONENT},
        "firstTimestamp": when, "lastTimestamp": when, "count": 1,
    }  # fmt: skip
