"""What is kept of objects that are watched, and what of them asks for work."""

from __future__ import annotations

from gatekeeper.cluster.dynamic_client import Object


def strip_managed_fields(value: Object) -> Object:
    """An object without who manages its fields, which is long."""
    return {**value, "metadata": {key: held for key, held in value["metadata"].items() if key != "managedFields"}}


def extract_trigger_fields(value: Object | None) -> object:
    """What of an object asks for work when it is another; its status does not."""
    metadata = (value or {}).get("metadata") or {}
    names = ("uid", "generation", "deletionTimestamp", "annotations", "labels")
    return value is None, [metadata.get(name) for name in names]
