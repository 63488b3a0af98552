"""How a Kustomization applies each of its objects: by its own fields, and by labels and annotations of the object.

Source: fluxcd/pkg `ssa/utils/meta.go`; kustomize-controller `docs/spec/v1/kustomizations.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from gatekeeper.apply.changes import ApplyOptions
from gatekeeper.flux import ignore_rules
from gatekeeper.flux.ignore_rules import IgnoreRule
from gatekeeper.flux.ownership import has_mark
from gatekeeper.model import Object


def build_apply_options(
    is_forced: bool, rules: Sequence[IgnoreRule], value: Object, live: Object | None
) -> ApplyOptions:
    """The options that an object is applied with.

    Args:
        is_forced: whether the Kustomization allows to recreate objects whose immutable fields change.
        rules: the fields that may differ.
    """
    forced, adopts = is_forced or has_mark(value, "force", "Enabled"), not has_mark(value, "ssa", "Merge")
    pointers = ignore_rules.list_pointers(value, rules)
    if not pointers or live is None:
        return ApplyOptions(None, is_skipped(value, live), forced, should_adopt=adopts)
    own = ignore_rules.keep_live_fields(value, ignore_rules.remove_pointers(value, pointers), live)
    shown = partial(ignore_rules.remove_pointers, pointers=pointers)
    return ApplyOptions(own, is_skipped(value, live), forced, should_adopt=adopts, normalize=shown)


def is_skipped(value: Object, live: Object | None) -> bool:
    """Whether a label or annotation, in Git or in the cluster, excludes an object from being applied."""
    if has_mark(value, "reconcile", "disabled") or has_mark(live, "reconcile", "disabled"):
        return True
    if has_mark(value, "ssa", "Ignore") or has_mark(live, "ssa", "Ignore"):
        return True
    return live is not None and has_mark(value, "ssa", "IfNotPresent")
