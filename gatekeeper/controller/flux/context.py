"""What the reconcilers of Flux objects share: the cluster, the watched objects, and the queues."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.model import AuditEvent
from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.flux import dependencies
from gatekeeper.flux.model import CheckedKustomizations
from gatekeeper.model import NamespacedName, Object, get_field
from gatekeeper.named_tuple import NamedTuple


class FluxOptions(NamedTuple):
    """How Flux objects are reconciled.

    Attributes:
        check: renders and checks a checkout, and the objects that Kustomizations of the cluster apply from it.
        label_selector: the labels of the objects that are reconciled; empty for all.
        concurrency: Kustomizations that are reconciled at the same time.
        storage_dir: where commits are kept; None for the cache folder of the user.
    """

    budget: PruneBudget
    check: Callable[[Path, Sequence[Object], DynamicClient], CheckedKustomizations]
    label_selector: str = ""
    concurrency: int = 8
    storage_dir: Path | None = None


class WatchedObjects(Protocol):
    """The objects of a kind in the cluster, as a `Reflector` keeps them."""

    def get(self, name: NamespacedName) -> Object | None:
        """An object; None if it does not exist."""

    def list_objects(self) -> list[tuple[NamespacedName, Object]]:
        """All objects with their names."""


class FluxEnvironment(NamedTuple):
    """What the reconcilers of GitRepositories and Kustomizations share.

    Attributes:
        repositories, kustomizations: the objects in the cluster.
        enqueue_repository: requests a reconcile of a GitRepository.
        enqueue_kustomization: requests a reconcile of a Kustomization after some seconds.
        watch_entries: watches applied objects for drift.
        record: called before each write and after the last; where it raises, nothing is written.
        storage_dir: where commits are kept.
    """

    cluster: DynamicClient
    options: FluxOptions
    metrics: Metrics
    repositories: WatchedObjects
    kustomizations: WatchedObjects
    enqueue_repository: Callable[[NamespacedName], None]
    enqueue_kustomization: Callable[[NamespacedName, float], None]
    watch_entries: Callable[[Iterable[InventoryEntry]], None]
    record: Callable[[AuditEvent], None]
    storage_dir: Path

    def list_kustomizations(self, repository: NamespacedName) -> list[Object]:
        """The Kustomizations that name a GitRepository."""
        return [value for _, value in self.kustomizations.list_objects() if dependencies.source_of(value) == repository]

    def list_includers(self, repository: NamespacedName) -> list[NamespacedName]:
        """The GitRepositories that include another one."""
        return [
            name
            for name, value in self.repositories.list_objects()
            if name.namespace == repository.namespace
            and repository.name in (get_field(entry, ("repository", "name")) for entry in _list_includes(value))
        ]


def _list_includes(repository: Object) -> list[Object]:
    includes = get_field(repository, ("spec", "include"))
    return includes if isinstance(includes, list) else []
