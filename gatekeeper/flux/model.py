"""What Kustomizations apply from a commit, and how far the reconcile of one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.model import ApplySet, ReconcileResult
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.flux.kustomization_spec import HealthCheck
from gatekeeper.model import Object, Verdict
from gatekeeper.named_tuple import NamedTuple


class CheckedKustomizations(NamedTuple):
    """The verdict on a repository and on what its Kustomizations apply, and what they apply."""

    verdict: Verdict
    builds: list[ApplySet]


@dataclass(frozen=True)
class BegunReconcile:
    """The first part of a reconcile is done: everything but the wait for health.

    Attributes:
        live: the Kustomization as it was read; None if the cluster has none.
        entries: the inventory of the Kustomization now.
    """

    result: ReconcileResult
    live: Object | None
    entries: Sequence[InventoryEntry]


class Refused(BegunReconcile):
    """Nothing was applied: it is suspended, refused by the gate, cannot be built, or its steps cannot be recorded."""


class Held(BegunReconcile):
    """A prune beyond the budget waits for approval; objects of the render, if any, are applied."""


class Planned(BegunReconcile):
    """A dry run: nothing was written."""


class Applied(BegunReconcile):
    """Everything was tried, and there is nothing to wait for."""


@dataclass(frozen=True)
class Waiting(BegunReconcile):
    """Everything is applied, and some objects are not healthy yet.

    Attributes:
        target: the cluster that is applied to, with the rights that count there.
        checks: the objects that are not healthy yet.
        timeout_seconds: how long the wait may take.
        started_at: the start of the reconcile, in seconds since 1970.
    """

    target: DynamicClient
    checks: Sequence[HealthCheck]
    timeout_seconds: float
    started_at: float
