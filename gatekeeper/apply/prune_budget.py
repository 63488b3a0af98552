"""How much may be taken away at once, so that a wrong path or an empty render does not empty a cluster.

Neither Flux nor Argo CD has such a limit. What goes over it waits until somebody approves it for that very revision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gatekeeper.apply.inventory import InventoryEntry

# With these goes what cannot be made again: what is stored, or all that another controller has made of them.
PROTECTED_KINDS = (
    "Namespace",
    "CustomResourceDefinition",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "Kustomization",
    "HelmRelease",
    "Application",
    "ApplicationSet",
)


class PruneBudget(NamedTuple):
    """What may go without asking.

    Attributes:
        max_objects: so many objects; and
        max_share: such a part of all that were applied, from 0 to 1, where more than one goes.
        protected_kinds: kinds of which none goes: with them goes what cannot be made again.
    """

    max_objects: int = 10
    max_share: float = 0.5
    protected_kinds: tuple[str, ...] = PROTECTED_KINDS


def find_excess(prune_entries: Sequence[InventoryEntry], total: int, is_empty: bool, budget: PruneBudget) -> str:
    """Why something waits for approval; empty where it may go.

    Args:
        prune_entries: what would be taken away.
        total: how many objects there are now.
        is_empty: whether nothing at all would be left.
    """
    if not prune_entries:
        return ""
    if is_empty:
        return f"nothing is left of {total} objects: a wrong path, or an empty render"
    precious = [entry for entry in prune_entries if entry.kind in budget.protected_kinds]
    if precious:
        return f"{precious[0]} would be deleted, and with it what cannot be made again"
    if len(prune_entries) > budget.max_objects:
        return f"{len(prune_entries)} objects would be deleted, more than {budget.max_objects} at once"
    if len(prune_entries) > 1 and len(prune_entries) > total * budget.max_share:
        return f"{len(prune_entries)} of {total} objects would be deleted, more than {budget.max_share:.0%}"
    return ""
