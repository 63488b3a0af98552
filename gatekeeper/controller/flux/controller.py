"""The Flux controller: watches GitRepositories, Kustomizations and Receivers, and queues what a change affects."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gatekeeper.apply.model import AuditEvent
from gatekeeper.cluster.dynamic_client import DynamicClient, Kind
from gatekeeper.cluster.reflector import Reflector
from gatekeeper.controller.flux import receivers
from gatekeeper.controller.flux.context import FluxEnvironment, FluxOptions
from gatekeeper.controller.flux.git_repositories import GitRepositoryReconciler
from gatekeeper.controller.flux.kustomizations import KustomizationReconciler, strip_kustomization
from gatekeeper.controller.flux.repository_cache import RepositoryCache
from gatekeeper.controller.runtime.audit_recorder import fence_recorder
from gatekeeper.controller.runtime.component import (
    Component,
    answer_push,
    enqueue_objects,
    extract_trigger_fields,
    report_watch_fault,
    strip_managed_fields,
)
from gatekeeper.controller.runtime.drift_watch import AppliedObjects, DriftWatch, ObservedObject, observe_object
from gatekeeper.controller.runtime.http_server import HttpRequest, HttpResponse
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.worker import Worker
from gatekeeper.flux import dependencies, ownership
from gatekeeper.flux import source as flux_source
from gatekeeper.kube import conditions
from gatekeeper.model import NamespacedName, Object, read_labels
from gatekeeper.repositories import git_repository_spec
from gatekeeper.repositories.provenance import CommitProvenance

# GitRepositories that are reconciled at the same time.
REPOSITORY_WORKERS = 4
PROVIDER = "Flux"


class FluxController:
    """Reconciles the GitRepositories and Kustomizations of a cluster.

    Args:
        is_assigned: whether this replica reconciles a GitRepository, given its name as text.
        record: called before each write and after the last; where it raises, nothing is written.

    Raises:
        ToolError: the cluster has no GitRepositories or Kustomizations, refuses, or does not answer.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        options: FluxOptions,
        is_assigned: Callable[[str], bool],
        record: Callable[[AuditEvent], None],
        metrics: Metrics,
    ) -> None:
        self._cluster, self._metrics, self._is_assigned = cluster, metrics, is_assigned
        self._cache = RepositoryCache()
        self._dependents: dict[NamespacedName, set[NamespacedName]] = {}
        self._repositories = self._create_reflector(
            cluster.require_kind(git_repository_spec.GROUP, git_repository_spec.VERSIONS, "GitRepository", PROVIDER),
            strip_managed_fields,
            self._on_repository_change,
            options.label_selector,
        )
        self._kustomizations = self._create_reflector(
            cluster.require_kind(ownership.GROUP, dependencies.VERSIONS, dependencies.KIND, PROVIDER),
            strip_kustomization,
            self._on_kustomization_change,
            options.label_selector,
        )
        self._receivers = self._create_receiver_reflector()
        self.repository_worker, self._kustomization_worker = self._create_workers(options.concurrency)
        applied = AppliedObjects(observe_kustomization_object, ownership.NAME_LABEL)
        on_fault = partial(report_watch_fault, metrics)
        drift_watch = DriftWatch(cluster, self._on_drift, self._on_applied_object_change, on_fault, applied)
        environment = FluxEnvironment(
            cluster=cluster,
            options=options,
            metrics=metrics,
            repositories=self._repositories,
            kustomizations=self._kustomizations,
            enqueue_repository=self.repository_worker.add,
            enqueue_kustomization=self._kustomization_worker.add,
            watch_entries=drift_watch.watch_entries,
            record=fence_recorder(record, self._is_kustomization_assigned),
            storage_dir=options.storage_dir or flux_source.resolve_storage_folder(),
        )
        self._repository_reconciler = GitRepositoryReconciler(environment, self._cache)
        self._kustomization_reconciler = KustomizationReconciler(environment, self._cache)
        self.component = Component(
            [self.repository_worker, self._kustomization_worker],
            [self._repositories, self._kustomizations, *([self._receivers] if self._receivers else [])],
            self.enqueue_all,
            drift_watch,
        )

    def _create_receiver_reflector(self) -> Reflector[Object] | None:
        """The Receivers of the cluster; None if it does not serve them."""
        kind = self._cluster.find_newest_kind(receivers.GROUP, receivers.VERSIONS, "Receiver")
        return self._create_reflector(kind, strip_managed_fields, lambda *_: None) if kind is not None else None

    def _create_workers(self, concurrency: int) -> tuple[Worker[NamespacedName], Worker[NamespacedName]]:
        """The workers of GitRepositories and of Kustomizations."""
        repositories = Worker[NamespacedName](
            "GitRepository",
            lambda name: self._repository_reconciler.reconcile(name),
            REPOSITORY_WORKERS,
            self._metrics,
            lambda name: self._is_assigned(str(name)),
        )
        kustomizations = Worker[NamespacedName](
            "Kustomization",
            lambda name: self._kustomization_reconciler.reconcile(name),
            concurrency,
            self._metrics,
            self._is_kustomization_assigned,
        )
        return repositories, kustomizations

    def _create_reflector(
        self,
        kind: Kind,
        transform: Callable[[Object], Object],
        on_change: Callable[[NamespacedName, Object | None, Object | None], None],
        selector: str = "",
    ) -> Reflector[Object]:
        on_error = partial(report_watch_fault, self._metrics, kind.plural)
        return Reflector(self._cluster, kind, transform, on_change, selector, on_error=on_error)

    def _is_kustomization_assigned(self, name: NamespacedName) -> bool:
        """Whether this replica reconciles a Kustomization: the one that reconciles its GitRepository does."""
        return self._is_assigned(str(self._find_source(name) or name))

    def _find_source(self, name: NamespacedName) -> NamespacedName | None:
        """The GitRepository of a Kustomization; None where there is none."""
        value = self._kustomizations.get(name)
        return dependencies.source_of(value) if value is not None else None

    def enqueue_all(self) -> None:
        """Queues every object, after this replica has acquired a Lease."""
        enqueue_objects(self._repositories, self.repository_worker)
        enqueue_objects(self._kustomizations, self._kustomization_worker)

    def find_provenance(self, name: NamespacedName) -> CommitProvenance:
        """Author, signer and pull request of the commit that a Kustomization is applied from; empty where unknown."""
        return self._cache.find_provenance(self._find_source(name))

    def handle_webhook(self, request: HttpRequest) -> HttpResponse | None:
        """Reconciles the GitRepositories of a Receiver that a Git host calls; None for other paths.

        Raises:
            ToolError: the cluster refuses, or does not answer.
        """
        if not request.path.startswith(receivers.PATH_PREFIX):
            return None
        return answer_push(request, self._find_called_sources, self.repository_worker, receivers.REFUSAL)

    def _find_called_sources(self, request: HttpRequest) -> list[NamespacedName] | None:
        known = self._receivers.list_objects() if self._receivers else []
        return receivers.find_called_sources(self._cluster, known, request.path, request.headers, request.body)

    def _on_repository_change(self, name: NamespacedName, old: Object | None, new: Object | None) -> None:
        if extract_trigger_fields(old) != extract_trigger_fields(new):
            self.repository_worker.add(name)

    def _on_kustomization_change(self, name: NamespacedName, old: Object | None, new: Object | None) -> None:
        if extract_trigger_fields(old) != extract_trigger_fields(new):
            self._kustomization_worker.add(name)
        old_names, new_names = (
            {dependency.name for dependency in dependencies.list_dependencies(value)} for value in (old, new)
        )
        for other in old_names - new_names:
            self._dependents[other].discard(name)
        for other in new_names - old_names:
            self._dependents.setdefault(other, set()).add(name)
        has_changed = _extract_readiness(old) != _extract_readiness(new)
        for dependent in tuple(self._dependents.get(name, ())):
            # A `readyExpr` may read any field.
            if has_changed or _has_ready_expression(self._kustomizations.get(dependent)):
                self._kustomization_worker.add(dependent)

    def _on_drift(self, name: NamespacedName) -> None:
        self._kustomization_reconciler.mark_drifted(name)
        self._kustomization_worker.add(name)

    def _on_applied_object_change(self, name: NamespacedName) -> None:
        if self._kustomization_reconciler.is_waiting(name):
            self._kustomization_worker.add(name)


def observe_kustomization_object(value: Object) -> ObservedObject:
    """Observe an object that a Kustomization applies, by the labels of its owner."""
    labels = read_labels(value)
    owner = NamespacedName(labels.get(ownership.NAMESPACE_LABEL, ""), labels.get(ownership.NAME_LABEL, ""))
    return observe_object(owner, value)


def _has_ready_expression(kustomization: Object | None) -> bool:
    return any(dependency.ready_expression for dependency in dependencies.list_dependencies(kustomization))


def _extract_readiness(kustomization: Object | None) -> object:
    if kustomization is None:
        return None
    ready = conditions.find_ready_condition(kustomization)
    return ready.get("status"), ready.get("observedGeneration"), dependencies.get_last_applied(kustomization)
