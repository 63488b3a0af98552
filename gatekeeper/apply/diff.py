"""Whether an object in the cluster differs from what applying would make of it, and in what.

Source: fluxcd/pkg `ssa/manager_diff.go`, `ssa/normalize`: labels, annotations, and all else but metadata and status.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gatekeeper.apply.order import Object
from gatekeeper.kube.labels import labels_of
from gatekeeper.model import FieldPath, at

# So many fields of one object are told.
MOST = 20


def differences(made: Object, live: Object) -> list[FieldPath]:
    """The paths that differ between what a dry run of applying made, and what is there."""
    found: list[FieldPath] = []
    for field in ("labels", "annotations"):
        found += _differing(dict(labels_of(made, field)), dict(labels_of(live, field)), ("metadata", field))
    own, theirs = ({key: held for key, held in one.items() if key not in LEFT} for one in (made, live))
    return [*found, *_differing(own, theirs, ())]


# What the cluster writes itself.
LEFT = ("metadata", "status", "apiVersion", "kind")


def _differing(made: Any, live: Any, path: FieldPath) -> Iterator[FieldPath]:
    if isinstance(made, dict) and isinstance(live, dict):
        for key in sorted(made.keys() | live.keys()):
            if key not in made or key not in live:
                yield (*path, key)
            else:
                yield from _differing(made[key], live[key], (*path, key))
    elif isinstance(made, list) and isinstance(live, list) and len(made) == len(live):
        for number, (own, theirs) in enumerate(zip(made, live, strict=True)):
            yield from _differing(own, theirs, (*path, number))
    elif made != live:
        yield path


def whose(live: Object, own: str) -> str:
    """Which field manager has changed an object last, beside ourselves; empty where there is none.

    Whoever changes an object names itself to the API server: `kubectl-edit`, the controller's own name.
    """
    held = at(live, ("metadata", "managedFields"))
    others = [
        (str(one.get("time") or ""), str(one.get("manager") or ""))
        for one in (held if isinstance(held, list) else ())
        if one.get("manager") != own and one.get("subresource") != "status"
    ]
    return max(others, default=("", ""))[1]
