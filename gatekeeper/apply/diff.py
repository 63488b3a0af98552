"""The fields in which an object in the cluster differs from the result of applying it.

Source: fluxcd/pkg `ssa/manager_diff.go`, `ssa/normalize`: labels, annotations, and every field but metadata and status.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gatekeeper.model import FieldPath, Object, get_field, read_labels

# The cluster writes them itself.
IGNORED_FIELDS = ("metadata", "status", "apiVersion", "kind")


def list_differences(desired: Object, live: Object) -> list[FieldPath]:
    """The paths that differ between the result of a dry run and the object in the cluster."""
    differences: list[FieldPath] = []
    for field in ("labels", "annotations"):
        differences += _walk_differences(
            dict(read_labels(desired, field)), dict(read_labels(live, field)), ("metadata", field)
        )
    return [*differences, *_walk_differences(_comparable_fields(desired), _comparable_fields(live), ())]


def _comparable_fields(value: Object) -> Object:
    return {key: field for key, field in value.items() if key not in IGNORED_FIELDS}


def _walk_differences(desired: Any, live: Any, path: FieldPath) -> Iterator[FieldPath]:
    if isinstance(desired, dict) and isinstance(live, dict):
        for key in sorted(desired.keys() | live.keys()):
            if key not in desired or key not in live:
                yield (*path, key)
            else:
                yield from _walk_differences(desired[key], live[key], (*path, key))
    elif isinstance(desired, list) and isinstance(live, list) and len(desired) == len(live):
        for index, (desired_element, live_element) in enumerate(zip(desired, live, strict=True)):
            yield from _walk_differences(desired_element, live_element, (*path, index))
    elif desired != live:
        yield path


def find_last_manager(live: Object, own_manager: str) -> str:
    """The field manager that changed an object last, other than our own; empty if there is none.

    Each client names itself to the API server, for example `kubectl-edit`.
    """
    managed_fields = get_field(live, ("metadata", "managedFields"))
    others = [
        (str(entry.get("time") or ""), str(entry.get("manager") or ""))
        for entry in (managed_fields if isinstance(managed_fields, list) else ())
        if entry.get("manager") != own_manager and entry.get("subresource") != "status"
    ]
    return max(others, default=("", ""))[1]
