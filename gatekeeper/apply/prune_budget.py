"""The prune budget: how many objects may be deleted at once, so that a wrong path cannot empty a cluster.

Neither Flux nor Argo CD has such a limit. A prune beyond it is held until a user approves that revision.
"""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.model import Object, read_labels
from gatekeeper.named_tuple import NamedTuple

# The annotation whose value is the revision for which a prune beyond the budget is approved.
APPROVED_REVISION = "gatekeeper-gitops.io/approved-revision"

# Deleting one of them loses data, or everything that another controller created for it.
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
    """How much may be deleted without approval.

    Attributes:
        max_objects: the most objects at once.
        max_share: the largest share of all applied objects, from 0 to 1; one object may always be deleted.
        protected_kinds: kinds of which no object is deleted without approval.
    """

    max_objects: int = 10
    max_share: float = 0.5
    protected_kinds: tuple[str, ...] = PROTECTED_KINDS


def read_approved_revision(value: Object | None) -> str:
    """The revision that a user has approved on a Kustomization or Application; empty for none."""
    return read_labels(value, "annotations").get(APPROVED_REVISION, "") if value is not None else ""


def format_hold(excess: str, kind: str, revision: str) -> str:
    """Why a prune is held, and how to approve it; empty if the budget is not exceeded."""
    return f"{excess}; to approve it, annotate the {kind} with `{APPROVED_REVISION}={revision}`" if excess else ""


def find_excess(prune_entries: Sequence[InventoryEntry], total: int, is_empty: bool, budget: PruneBudget) -> str:
    """Why a prune needs approval; empty if it is within the budget.

    Args:
        prune_entries: the objects that would be deleted.
        total: the number of objects in the inventory.
        is_empty: whether no object would remain.
    """
    if not prune_entries:
        return ""
    if is_empty:
        return f"the path renders no objects: all {total} applied objects would be deleted"
    protected = [entry for entry in prune_entries if entry.kind in budget.protected_kinds]
    if protected:
        entry = protected[0]
        return f"{entry} is of a protected kind ({entry.kind}): its data or dependents would be deleted with it"
    if len(prune_entries) > budget.max_objects:
        return f"{len(prune_entries)} objects would be deleted, more than {budget.max_objects} at once"
    if len(prune_entries) > 1 and len(prune_entries) > total * budget.max_share:
        return f"{len(prune_entries)} of {total} objects would be deleted, more than {budget.max_share:.0%}"
    return ""
