"""Fields that others have applied before, taken over: else nobody would take away what is not in Git any more.

Source: fluxcd/pkg `ssa/manager_apply.go` (cleanup), client-go `util/csaupgrade`. Whoever uses kubectl on an object that
is in Git, or applied it with Flux's or Argo CD's own controller, has left his name on its fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatekeeper.apply.order import Object
from gatekeeper.kube.labels import read_labels
from gatekeeper.model import get_field

KUBECTL_PREFIX = "kubectl"
LEGACY_MANAGERS = ("before-first-apply", "kustomize-controller", "argocd-controller", "argocd-application-controller")
# What kubectl and old versions of Flux keep in an object for themselves.
LEGACY_ANNOTATIONS = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "kustomize.toolkit.fluxcd.io/checksum",
    "fluxcd.io/sync-checksum",
)


def build_takeover_patch(live: Object, own_manager: str) -> dict[str, Any]:
    """What of an object's metadata has to change so that its fields are ours; empty where nothing has to.

    Args:
        own_manager: the field manager that takes them over.
    """
    held = get_field(live, ("metadata", "managedFields"))
    entries = held if isinstance(held, list) else []
    theirs = [one for one in entries if _should_take_over(one, own_manager)]
    notes = {name: None for name in LEGACY_ANNOTATIONS if name in read_labels(live, "annotations")}
    if not theirs and not notes:
        return {}
    found: dict[str, Any] = {"annotations": notes} if notes else {}
    if theirs:
        ours = [one for one in entries if one.get("manager") == own_manager and one.get("operation") == "Apply"]
        fields: dict[str, Any] = {}
        for one in (*ours, *theirs):
            fields = _merge_fields(fields, one.get("fieldsV1") or {})
        last = (ours or theirs)[-1]
        whole = {**last, "manager": own_manager, "operation": "Apply", "fieldsV1": fields}
        found["managedFields"] = [*(one for one in entries if one not in ours and one not in theirs), whole]
    return found


def _should_take_over(entry: Mapping[str, Any], own_manager: str) -> bool:
    if entry.get("subresource"):
        return False
    manager = str(entry.get("manager") or "")
    # What was written as ours by another way than applying.
    is_own = manager == own_manager and entry.get("operation") == "Update"
    return is_own or manager.startswith(KUBECTL_PREFIX) or manager in LEGACY_MANAGERS


def _merge_fields(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of two sets, as `fieldsV1` writes them."""
    found = dict(first)
    for key, held in second.items():
        found[key] = (
            _merge_fields(found[key], held) if isinstance(found.get(key), dict) and isinstance(held, dict) else held
        )
    return found
