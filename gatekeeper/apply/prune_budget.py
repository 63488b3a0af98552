"""How much may be taken away at once, so that a wrong path or an empty render does not empty a cluster.

Neither Flux nor Argo CD has such a limit. What goes over it waits until somebody approves it for that very revision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gatekeeper.apply.inventory import Entry

# With these goes what cannot be made again: what is stored, or all that another controller has made of them.
PROTECTED = (
    "Namespace", "CustomResourceDefinition", "PersistentVolumeClaim", "PersistentVolume", "Kustomization",
    "HelmRelease", "Application", "ApplicationSet",
)  # fmt: skip


class Budget(NamedTuple):
    """What may go without asking.

    Attributes:
        most: so many objects; and
        share: such a part of all that were applied, from 0 to 1, where more than one goes.
        protected: kinds of which none goes: with them goes what cannot be made again.
    """

    most: int = 10
    share: float = 0.5
    protected: tuple[str, ...] = PROTECTED


def excess(gone: Sequence[Entry], before: int, is_empty: bool, budget: Budget) -> str:
    """Why something waits for approval; empty where it may go.

    Args:
        gone: what would be taken away.
        before: how many objects there are now.
        is_empty: whether nothing at all would be left.
    """
    if not gone:
        return ""
    if is_empty:
        return f"nothing is left of {before} objects: a wrong path, or an empty render"
    precious = [entry for entry in gone if entry.kind in budget.protected]
    if precious:
        return f"{precious[0]} would be deleted, and with it what cannot be made again"
    if len(gone) > budget.most:
        return f"{len(gone)} objects would be deleted, more than {budget.most} at once"
    if len(gone) > 1 and len(gone) > before * budget.share:
        return f"{len(gone)} of {before} objects would be deleted, more than {budget.share:.0%}"
    return ""
