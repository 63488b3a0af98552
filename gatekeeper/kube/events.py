"""Events: what a controller reports about an object, as `kubectl describe` shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatekeeper.kube.conditions import MAX_MESSAGE_LENGTH, format_time
from gatekeeper.model import get_field
from gatekeeper.named_tuple import NamedTuple

EVENT_COMPONENT = "gatekeeper"


class Event(NamedTuple):
    """The content of an event: `Normal` or `Warning`, a reason in CamelCase, and a sentence."""

    type: str
    reason: str
    message: str


def build_event(event: Event, value: Any, now: float, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The Event object about an object of a namespace.

    Args:
        value: the object.
        now: seconds since 1970.
    """
    involved = {name: value.get(name) for name in ("apiVersion", "kind")}
    involved |= {name: get_field(value, ("metadata", name)) for name in ("namespace", "name", "uid", "resourceVersion")}
    metadata: dict[str, Any] = {"generateName": f"{involved['name']}.", "namespace": involved["namespace"]}
    if annotations:
        metadata["annotations"] = dict(annotations)
    timestamp = format_time(now)
    return {
        "metadata": metadata,
        "involvedObject": involved,
        "type": event.type,
        "reason": event.reason,
        "message": event.message[:MAX_MESSAGE_LENGTH],
        "source": {"component": EVENT_COMPONENT},
        "firstTimestamp": timestamp,
        "lastTimestamp": timestamp,
        "count": 1,
    }
