"""What an object says about how it is applied, and the labels that say who applies it.

Source: fluxcd/pkg `ssa/utils/meta.go`; kustomize-controller `docs/spec/v1/kustomizations.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

from gatekeeper.apply.order import Object
from gatekeeper.apply.server_side_apply import ApplyOptions
from gatekeeper.flux import ignore_rules
from gatekeeper.flux.ignore_rules import IgnoreRule
from gatekeeper.kube.labels import read_labels
from gatekeeper.model import get_field

GROUP = "kustomize.toolkit.fluxcd.io"
NAME_LABEL, NAMESPACE_LABEL = f"{GROUP}/name", f"{GROUP}/namespace"


def has_mark(value: Object | None, key: str, setting: str) -> bool:
    """Whether an object's labels or annotations say a word, in whatever case: `ssa: Ignore`, `prune: disabled`."""
    if value is None:
        return False
    held = [read_labels(value, field).get(f"{GROUP}/{key}", "") for field in ("labels", "annotations")]
    return any(isinstance(one, str) and one.lower() == setting.lower() for one in held)


def add_owner_labels(objects: Iterable[Object], kustomization: Any) -> list[Object]:
    """Objects with the labels of who applies them, and what it adds to all."""
    namespace, name = (
        get_field(kustomization, ("metadata", "namespace")),
        get_field(kustomization, ("metadata", "name")),
    )
    common = get_field(kustomization, ("spec", "commonMetadata")) or {}
    found = []
    for value in objects:
        own = deepcopy(value)
        held = own.setdefault("metadata", {})
        for field, more in (
            ("labels", {NAME_LABEL: name, NAMESPACE_LABEL: namespace, **(common.get("labels") or {})}),
            ("annotations", common.get("annotations") or {}),
        ):
            if more:
                held[field] = {**(held.get(field) or {}), **more}
        found.append(own)
    return found


def is_owned_by(live: Object, kustomization: Any) -> bool:
    """Whether an object in the cluster is this Kustomization's to take away."""
    labels, own = read_labels(live), get_field(kustomization, ("metadata",))
    return (labels.get(NAME_LABEL), labels.get(NAMESPACE_LABEL)) == (own.get("name"), own.get("namespace"))


def find_keep_reason(kustomization: Any, live: Object) -> str:
    """Why what a Kustomization applies no more stays in the cluster; empty where it does not."""
    if not is_owned_by(live, kustomization):
        return "it has not the labels of this Kustomization"
    if (
        has_mark(live, "prune", "disabled")
        or has_mark(live, "reconcile", "disabled")
        or has_mark(live, "ssa", "Ignore")
    ):
        return "it says that it is not taken away"
    return ""


def build_apply_options(
    is_forced: bool, rules: Sequence[IgnoreRule], value: Object, live: Object | None
) -> ApplyOptions:
    """How an object is applied.

    Args:
        is_forced: whether the Kustomization lets all that it applies be made anew.
        rules: which fields may differ.
    """
    forced, adopts = is_forced or has_mark(value, "force", "Enabled"), not has_mark(value, "ssa", "Merge")
    pointers = ignore_rules.list_pointers(value, rules)
    if not pointers or live is None:
        return ApplyOptions(None, is_skipped(value, live), forced, should_adopt=adopts)
    own = ignore_rules.keep_live_fields(value, ignore_rules.remove_pointers(value, pointers), live)
    shown = partial(ignore_rules.remove_pointers, pointers=pointers)
    return ApplyOptions(own, is_skipped(value, live), forced, should_adopt=adopts, normalize=shown)


def is_skipped(value: Object, live: Object | None) -> bool:
    """Whether an object is not applied, because it, or what is in the cluster, says so."""
    if has_mark(value, "reconcile", "disabled") or has_mark(live, "reconcile", "disabled"):
        return True
    if has_mark(value, "ssa", "Ignore") or has_mark(live, "ssa", "Ignore"):
        return True
    return live is not None and has_mark(value, "ssa", "IfNotPresent")
