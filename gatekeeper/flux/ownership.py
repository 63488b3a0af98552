"""What an object says about how it is applied, and the labels that say who applies it.

Source: fluxcd/pkg `ssa/utils/meta.go`; kustomize-controller `docs/spec/v1/kustomizations.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

from gatekeeper.apply.order import Object
from gatekeeper.apply.server_side_apply import Manner
from gatekeeper.flux import ignore_rules
from gatekeeper.flux.ignore_rules import Ignore
from gatekeeper.kube.labels import labels_of
from gatekeeper.model import at

GROUP = "kustomize.toolkit.fluxcd.io"
NAME, NAMESPACE = f"{GROUP}/name", f"{GROUP}/namespace"


def says(value: Object | None, key: str, word: str) -> bool:
    """Whether an object's labels or annotations say a word, in whatever case: `ssa: Ignore`, `prune: disabled`."""
    if value is None:
        return False
    held = [labels_of(value, field).get(f"{GROUP}/{key}", "") for field in ("labels", "annotations")]
    return any(isinstance(one, str) and one.lower() == word.lower() for one in held)


def owned(objects: Iterable[Object], kustomization: Any) -> list[Object]:
    """Objects with the labels of who applies them, and what it adds to all."""
    namespace, name = at(kustomization, ("metadata", "namespace")), at(kustomization, ("metadata", "name"))
    common = at(kustomization, ("spec", "commonMetadata")) or {}
    found = []
    for value in objects:
        own = deepcopy(value)
        held = own.setdefault("metadata", {})
        for field, more in (
            ("labels", {NAME: name, NAMESPACE: namespace, **(common.get("labels") or {})}),
            ("annotations", common.get("annotations") or {}),
        ):
            if more:
                held[field] = {**(held.get(field) or {}), **more}
        found.append(own)
    return found


def is_owned(live: Object, kustomization: Any) -> bool:
    """Whether an object in the cluster is this Kustomization's to take away."""
    labels, own = labels_of(live), at(kustomization, ("metadata",))
    return (labels.get(NAME), labels.get(NAMESPACE)) == (own.get("name"), own.get("namespace"))


def keep(kustomization: Any, live: Object) -> str:
    """Why what a Kustomization applies no more stays in the cluster; empty where it does not."""
    if not is_owned(live, kustomization):
        return "it has not the labels of this Kustomization"
    if says(live, "prune", "disabled") or says(live, "reconcile", "disabled") or says(live, "ssa", "Ignore"):
        return "it says that it is not taken away"
    return ""


def manner(is_forced: bool, rules: Sequence[Ignore], value: Object, live: Object | None) -> Manner:
    """How an object is applied.

    Args:
        is_forced: whether the Kustomization lets all that it applies be made anew.
        rules: which fields may differ.
    """
    forced, adopts = is_forced or says(value, "force", "Enabled"), not says(value, "ssa", "Merge")
    pointers = ignore_rules.pointers_for(value, rules)
    if not pointers or live is None:
        return Manner(None, is_left_alone(value, live), forced, adopts=adopts)
    own = ignore_rules.kept(value, ignore_rules.without(value, pointers), live)
    shown = partial(ignore_rules.without, pointers=pointers)
    return Manner(own, is_left_alone(value, live), forced, adopts=adopts, shown=shown)


def is_left_alone(value: Object, live: Object | None) -> bool:
    """Whether an object is not applied, because it, or what is in the cluster, says so."""
    if says(value, "reconcile", "disabled") or says(live, "reconcile", "disabled"):
        return True
    if says(value, "ssa", "Ignore") or says(live, "ssa", "Ignore"):
        return True
    return live is not None and says(value, "ssa", "IfNotPresent")
