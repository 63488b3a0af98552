"""A Flux Kustomization that is being applied, and what it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.model import ApplySet, ParentName, ReconcileResult
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.flux.kustomization_spec import HealthCheck
from gatekeeper.model import get_field

VERSIONS = ("v1", "v1beta2", "v1beta1")


class PendingReconcile(NamedTuple):
    """A Kustomization that is applied, and what of it is not there yet.

    Attributes:
        target: the cluster, with the rights that it is applied with.
        live: the Kustomization as it was read; None where the cluster has none.
        entries: what is applied now.
        checks: what is waited for; with none all is told already.
        timeout_seconds: seconds.
    """

    result: ReconcileResult
    target: DynamicClient
    live: Object | None
    entries: Sequence[InventoryEntry]
    checks: Sequence[HealthCheck] = ()
    timeout_seconds: float = 0.0
    started_at: float = 0.0


def list_dependencies(build: ApplySet) -> list[ParentName]:
    """What a Kustomization depends on, by namespace and name."""
    listed = get_field(build.parent, ("spec", "dependsOn")) or ()
    return [(one.get("namespace") or build.name[0], one["name"]) for one in listed]
