"""Takes over fields that kubectl, Flux or Argo CD applied before; otherwise a field removed from Git would remain.

Source: fluxcd/pkg `ssa/manager_apply.go` (cleanup), client-go `util/csaupgrade`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatekeeper.model import Object, get_field, read_labels

KUBECTL_PREFIX = "kubectl"
LEGACY_MANAGERS = ("before-first-apply", "kustomize-controller", "argocd-controller", "argocd-application-controller")
# Annotations that kubectl and old versions of Flux keep for themselves.
LEGACY_ANNOTATIONS = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "kustomize.toolkit.fluxcd.io/checksum",
    "fluxcd.io/sync-checksum",
)


def build_takeover_patch(live: Object, own_manager: str) -> dict[str, Any]:
    """A patch of the metadata that moves fields to our field manager; empty if there is nothing to take over.

    Args:
        own_manager: the field manager that takes the fields over.
    """
    managed_fields = get_field(live, ("metadata", "managedFields"))
    entries = managed_fields if isinstance(managed_fields, list) else []
    taken_over = [entry for entry in entries if _should_take_over(entry, own_manager)]
    annotations = {name: None for name in LEGACY_ANNOTATIONS if name in read_labels(live, "annotations")}
    patch: dict[str, Any] = {"annotations": annotations} if annotations else {}
    if taken_over:
        own = [entry for entry in entries if entry.get("manager") == own_manager and entry.get("operation") == "Apply"]
        fields: dict[str, Any] = {}
        for entry in (*own, *taken_over):
            fields = _merge_fields(fields, entry.get("fieldsV1") or {})
        merged = {**(own or taken_over)[-1], "manager": own_manager, "operation": "Apply", "fieldsV1": fields}
        others = [entry for entry in entries if entry not in own and entry not in taken_over]
        patch["managedFields"] = [*others, merged]
    return patch


def _should_take_over(entry: Mapping[str, Any], own_manager: str) -> bool:
    if entry.get("subresource"):
        return False
    manager = str(entry.get("manager") or "")
    # Fields that our field manager wrote by an update instead of an apply.
    is_own = manager == own_manager and entry.get("operation") == "Update"
    return is_own or manager.startswith(KUBECTL_PREFIX) or manager in LEGACY_MANAGERS


def _merge_fields(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """The union of two field sets in the format of `fieldsV1`."""
    merged = dict(first)
    for key, fields in second.items():
        is_nested = isinstance(merged.get(key), dict) and isinstance(fields, dict)
        merged[key] = _merge_fields(merged[key], fields) if is_nested else fields
    return merged
