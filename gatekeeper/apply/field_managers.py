"""Fields that others have applied before, taken over: else nobody would take away what is not in Git any more.

Source: fluxcd/pkg `ssa/manager_apply.go` (cleanup), client-go `util/csaupgrade`. Whoever uses kubectl on an object that
is in Git, or applied it with Flux's or Argo CD's own controller, has left his name on its fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatekeeper.apply.order import Object
from gatekeeper.kube.labels import labels_of
from gatekeeper.model import at

PREFIX = "kubectl"
NAMES = ("before-first-apply", "kustomize-controller", "argocd-controller", "argocd-application-controller")
# What kubectl and old versions of Flux keep in an object for themselves.
NOTES = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "kustomize.toolkit.fluxcd.io/checksum",
    "fluxcd.io/sync-checksum",
)


def changes(live: Object, own: str) -> dict[str, Any]:
    """What of an object's metadata has to change so that its fields are ours; empty where nothing has to.

    Args:
        own: the field manager that takes them over.
    """
    held = at(live, ("metadata", "managedFields"))
    entries = held if isinstance(held, list) else []
    theirs = [one for one in entries if _is_taken(one, own)]
    notes = {name: None for name in NOTES if name in labels_of(live, "annotations")}
    if not theirs and not notes:
        return {}
    found: dict[str, Any] = {"annotations": notes} if notes else {}
    if theirs:
        ours = [one for one in entries if one.get("manager") == own and one.get("operation") == "Apply"]
        fields: dict[str, Any] = {}
        for one in (*ours, *theirs):
            fields = _union(fields, one.get("fieldsV1") or {})
        last = (ours or theirs)[-1]
        whole = {**last, "manager": own, "operation": "Apply", "fieldsV1": fields}
        found["managedFields"] = [*(one for one in entries if one not in ours and one not in theirs), whole]
    return found


def _is_taken(entry: Mapping[str, Any], own: str) -> bool:
    if entry.get("subresource"):
        return False
    manager = str(entry.get("manager") or "")
    # What was written as ours by another way than applying.
    is_own = manager == own and entry.get("operation") == "Update"
    return is_own or manager.startswith(PREFIX) or manager in NAMES


def _union(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of two sets, as `fieldsV1` writes them."""
    found = dict(one)
    for key, held in other.items():
        found[key] = _union(found[key], held) if isinstance(found.get(key), dict) and isinstance(held, dict) else held
    return found
