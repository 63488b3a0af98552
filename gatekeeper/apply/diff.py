"""Whether an object in the cluster differs from what applying would make of it, and in what.

Source: fluxcd/pkg `ssa/manager_diff.go`, `ssa/normalize`: labels, annotations, and all else but metadata and status.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gatekeeper.apply.order import Object
from gatekeeper.kube.labels import read_labels
from gatekeeper.model import FieldPath, get_field

# So many fields of one object are told.
MAX_FIELDS = 20


def list_differences(desired: Object, live: Object) -> list[FieldPath]:
    """The paths that differ between what a dry run of applying made, and what is there."""
    found: list[FieldPath] = []
    for field in ("labels", "annotations"):
        found += _walk_differences(
            dict(read_labels(desired, field)), dict(read_labels(live, field)), ("metadata", field)
        )
    own, theirs = ({key: held for key, held in one.items() if key not in IGNORED_FIELDS} for one in (desired, live))
    return [*found, *_walk_differences(own, theirs, ())]


# What the cluster writes itself.
IGNORED_FIELDS = ("metadata", "status", "apiVersion", "kind")


def _walk_differences(desired: Any, live: Any, path: FieldPath) -> Iterator[FieldPath]:
    if isinstance(desired, dict) and isinstance(live, dict):
        for key in sorted(desired.keys() | live.keys()):
            if key not in desired or key not in live:
                yield (*path, key)
            else:
                yield from _walk_differences(desired[key], live[key], (*path, key))
    elif isinstance(desired, list) and isinstance(live, list) and len(desired) == len(live):
        for number, (own, theirs) in enumerate(zip(desired, live, strict=True)):
            yield from _walk_differences(own, theirs, (*path, number))
    elif desired != live:
        yield path


def find_last_manager(live: Object, own_manager: str) -> str:
    """Which field manager has changed an object last, beside ourselves; empty where there is none.

    Whoever changes an object names itself to the API server: `kubectl-edit`, the controller's own name.
    """
    held = get_field(live, ("metadata", "managedFields"))
    others = [
        (str(one.get("time") or ""), str(one.get("manager") or ""))
        for one in (held if isinstance(held, list) else ())
        if one.get("manager") != own_manager and one.get("subresource") != "status"
    ]
    return max(others, default=("", ""))[1]
