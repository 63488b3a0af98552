"""The labels that name the Kustomization of an object, and the settings of Flux in its labels and annotations.

Source: fluxcd/pkg `ssa/utils/meta.go`; kustomize-controller `docs/spec/v1/kustomizations.md`.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from gatekeeper.model import Object, get_field, read_labels

GROUP = "kustomize.toolkit.fluxcd.io"
NAME_LABEL, NAMESPACE_LABEL = f"{GROUP}/name", f"{GROUP}/namespace"


def has_mark(value: Object | None, key: str, setting: str) -> bool:
    """Whether a label or annotation of Flux has a setting, in any case: `ssa: Ignore`, `prune: disabled`."""
    if value is None:
        return False
    settings = [read_labels(value, field).get(f"{GROUP}/{key}", "") for field in ("labels", "annotations")]
    return setting.lower() in map(str.lower, settings)


def add_owner_labels(objects: Iterable[Object], kustomization: Any) -> list[Object]:
    """The objects with the labels of their Kustomization, and its `commonMetadata`."""
    namespace, name = (
        get_field(kustomization, ("metadata", "namespace")),
        get_field(kustomization, ("metadata", "name")),
    )
    common = get_field(kustomization, ("spec", "commonMetadata")) or {}
    labelled = []
    for value in objects:
        own = deepcopy(value)
        metadata = own.setdefault("metadata", {})
        for field, added in (
            ("labels", {NAME_LABEL: name, NAMESPACE_LABEL: namespace, **(common.get("labels") or {})}),
            ("annotations", common.get("annotations") or {}),
        ):
            if added:
                metadata[field] = {**(metadata.get(field) or {}), **added}
        labelled.append(own)
    return labelled


def is_owned_by(live: Object, kustomization: Any) -> bool:
    """Whether an object in the cluster has the owner labels of this Kustomization."""
    labels, own = read_labels(live), get_field(kustomization, ("metadata",))
    return (labels.get(NAME_LABEL), labels.get(NAMESPACE_LABEL)) == (own.get("name"), own.get("namespace"))


def find_keep_reason(kustomization: Any, live: Object) -> str:
    """Why an object that a Kustomization does not apply any more is kept; empty if it may be deleted."""
    if not is_owned_by(live, kustomization):
        return "it does not have the labels of this Kustomization"
    if (
        has_mark(live, "prune", "disabled")
        or has_mark(live, "reconcile", "disabled")
        or has_mark(live, "ssa", "Ignore")
    ):
        return "its own label or annotation disables pruning"
    return ""
