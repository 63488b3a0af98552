"""Deletes objects that were applied before and are not in Git any more.

Source: fluxcd/pkg `ssa/manager_delete.go`; kustomize-controller `internal/controller` (prune).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.cluster.dynamic_client import DynamicClient, Propagation
from gatekeeper.errors import ToolError
from gatekeeper.model import Object
from gatekeeper.named_tuple import NamedTuple


class PruneResult(NamedTuple):
    """What happens to an object that was applied before and is not in Git any more.

    Attributes:
        reason: why it is kept, or why it could not be deleted.
    """

    entry: InventoryEntry
    action: Literal["delete", "keep", "gone", "failed"]
    reason: str = ""


# Why an object of the cluster is kept; empty if it may be deleted.
KeepReason = Callable[[Object], str]


def plan_prune(cluster: DynamicClient, entries: Sequence[InventoryEntry], keep_reason: KeepReason) -> list[PruneResult]:
    """What pruning would do to each entry, in the given order; deletes nothing."""
    return [_plan_entry(cluster, entry, keep_reason)[0] for entry in entries]


def prune_objects(
    cluster: DynamicClient,
    plan: Sequence[PruneResult],
    keep_reason: KeepReason,
    propagation: Propagation = "Background",
) -> list[PruneResult]:
    """Deletes what a plan deletes, after a second look at each object."""
    return [
        _prune_entry(cluster, result.entry, keep_reason, propagation) if result.action == "delete" else result
        for result in plan
    ]


def _prune_entry(
    cluster: DynamicClient, entry: InventoryEntry, keep_reason: KeepReason, propagation: Propagation
) -> PruneResult:
    result, live = _plan_entry(cluster, entry, keep_reason)
    if result.action != "delete" or live is None:
        return result
    try:
        kind = cluster.find_kind(entry.api_version, entry.kind)
        if kind is not None:
            cluster.delete(kind, entry.namespace, entry.name, live["metadata"]["uid"], propagation)
    except ToolError as error:
        return PruneResult(entry, "failed", str(error))
    return result


def _plan_entry(
    cluster: DynamicClient, entry: InventoryEntry, keep_reason: KeepReason
) -> tuple[PruneResult, Object | None]:
    """What pruning does to an entry, and the object in the cluster."""
    try:
        kind = cluster.find_kind(entry.api_version, entry.kind)
        live = cluster.get(kind, entry.namespace, entry.name) if kind else None
    except ToolError as error:
        return PruneResult(entry, "failed", str(error)), None
    if live is None:
        return PruneResult(entry, "gone"), None
    reason = keep_reason(live)
    return PruneResult(entry, "keep" if reason else "delete", reason), live
