"""Flux's resources in a cluster, and what follows when one of them, or something that was applied, changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gatekeeper.apply.model import AuditEvent
from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.cluster.dynamic_client import DynamicClient, Kind, Object
from gatekeeper.cluster.reflector import NamespacedName, Reflector
from gatekeeper.controller.flux import receivers
from gatekeeper.controller.flux.git_repositories import GitRepositoryCache
from gatekeeper.controller.flux.kustomizations import KustomizationReconciler, resolve_source, strip_kustomization
from gatekeeper.controller.runtime.audit_recorder import fence_recorder
from gatekeeper.controller.runtime.component import (
    Component,
    extract_trigger_fields,
    report_watch_fault,
    strip_managed_fields,
)
from gatekeeper.controller.runtime.drift_watch import DriftWatch, ObservedObject, observe_object
from gatekeeper.controller.runtime.http_server import HttpRequest, HttpResponse
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.worker import Worker
from gatekeeper.errors import ToolError
from gatekeeper.flux import ownership
from gatekeeper.flux import source as flux_source
from gatekeeper.flux.model import VERSIONS
from gatekeeper.kube import conditions
from gatekeeper.kube.labels import read_labels
from gatekeeper.model import get_field
from gatekeeper.repositories import git_repository_spec
from gatekeeper.repositories.provenance import CommitProvenance


class FluxOptions(NamedTuple):
    """How Flux's resources are followed.

    Attributes:
        label_selector: of labels that they must have.
        concurrency: so many Kustomizations at a time.
        config_file: judge by this instead of each repository's own; None for its own.
        storage_dir: where commits are kept; None for the user's folder.
    """

    budget: PruneBudget
    label_selector: str = ""
    concurrency: int = 8
    config_file: Path | None = None
    storage_dir: Path | None = None


# So many sources at a time.
SOURCE_WORKERS = 4


class FluxController:
    """GitRepositories and Kustomizations, from the first look at them on.

    Args:
        is_mine: whether this replica follows a source, by its name.
        note: see `Round.note`.

    Raises:
        ToolError: the cluster knows no Kustomizations.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        options: FluxOptions,
        is_assigned: Callable[[str], bool],
        record: Callable[[AuditEvent], None],
        metrics: Metrics,
    ) -> None:
        self._cluster, self._metrics = cluster, metrics
        git = _resolve_kind(cluster, git_repository_spec.GROUP, git_repository_spec.VERSIONS, "GitRepository")
        kustomization = _resolve_kind(cluster, ownership.GROUP, VERSIONS, "Kustomization")
        self._repository_reflector = Reflector(
            cluster,
            git,
            strip_managed_fields,
            self._on_repository_change,
            options.label_selector,
            on_error=self._build_fault_handler("GitRepository"),
        )
        self._kustomization_reflector = Reflector(
            cluster,
            kustomization,
            strip_kustomization,
            self._on_kustomization_change,
            options.label_selector,
            on_error=self._build_fault_handler("Kustomization"),
        )
        self._dependents: dict[NamespacedName, set[NamespacedName]] = {}
        hook = cluster.find_newest_kind(receivers.GROUP, receivers.VERSIONS, "Receiver")
        self._receiver_reflector = (
            Reflector(
                cluster, hook, strip_managed_fields, lambda *_: None, on_error=self._build_fault_handler("Receiver")
            )
            if hook
            else None
        )

        def mine(name: NamespacedName) -> bool:
            value = self._kustomization_reflector.get(name)
            return is_assigned("/".join((resolve_source(value) if value else None) or name))

        self.source_worker = Worker[NamespacedName](
            "GitRepository",
            self._reconcile_repository,
            SOURCE_WORKERS,
            metrics,
            lambda name: is_assigned("/".join(name)),
        )
        self.kustomization_worker = Worker[NamespacedName](
            "Kustomization", self._reconcile_kustomization, options.concurrency, metrics, mine
        )
        self.repository_cache = GitRepositoryCache(
            cluster,
            self._repository_reflector.get,
            self._list_kustomizations,
            self.kustomization_worker.add,
            self._enqueue_includers,
            metrics,
            options.config_file,
            options.storage_dir or flux_source.resolve_storage_folder(),
        )
        drift_watch = DriftWatch(
            cluster,
            self._on_drift,
            self._on_change,
            partial(report_watch_fault, metrics),
            observe_kustomization_object,
            ownership.NAME_LABEL,
        )
        self._reconciler = KustomizationReconciler(
            cluster,
            self._kustomization_reflector.get,
            self.repository_cache,
            lambda name: self._repository_reflector.get(name) is not None,
            self.source_worker.add,
            drift_watch.watch_entries,
            fence_recorder(record, mine),
            options.budget,
            metrics,
        )
        hooks = [self._receiver_reflector] if self._receiver_reflector else []
        self.component = Component(
            [self.source_worker, self.kustomization_worker],
            [self._repository_reflector, self._kustomization_reflector, *hooks],
            self.enqueue_all,
            drift_watch,
        )

    def enqueue_all(self) -> None:
        """Looks at everything: what was another's may be ours now."""
        for name, _ in self._repository_reflector.list_objects():
            self.source_worker.add(name)
        for name, _ in self._kustomization_reflector.list_objects():
            self.kustomization_worker.add(name)

    def find_provenance(self, name: NamespacedName) -> CommitProvenance:
        """Whom the commit that a Kustomization is applied from is owed to."""
        value = self._kustomization_reflector.get(name)
        source = resolve_source(value) if value is not None else None
        state = self.repository_cache.get_state(source) if source is not None else None
        return state.provenance if state is not None else CommitProvenance()

    def handle_webhook(self, request: HttpRequest) -> HttpResponse | None:
        """A Git host says that there is something new."""
        if not request.path.startswith(receivers.PATH_PREFIX):
            return None
        if request.method != "POST":
            return HttpResponse(405, b"POST is what a host sends\n")
        known = self._receiver_reflector.list_objects() if self._receiver_reflector else []
        named = receivers.find_called_sources(self._cluster, known, request.path, request.headers, request.body)
        if named is None:
            return HttpResponse(404, b"no Receiver is called so\n")
        for name in named:
            self.source_worker.add(name)
        return HttpResponse(200, b"")

    def _reconcile_repository(self, name: NamespacedName) -> float | None:
        return self.repository_cache.reconcile(name)

    def _reconcile_kustomization(self, name: NamespacedName) -> float | None:
        return self._reconciler.reconcile(name)

    def _list_kustomizations(self, source: NamespacedName) -> list[Object]:
        return [value for _, value in self._kustomization_reflector.list_objects() if resolve_source(value) == source]

    def _enqueue_includers(self, name: NamespacedName) -> None:
        """What includes a source that has another commit is another, too."""
        for other, value in self._repository_reflector.list_objects():
            held = get_field(value, ("spec", "include")) or ()
            if other[0] == name[0] and any(get_field(one, ("repository", "name")) == name[1] for one in held):
                self.source_worker.add(other)

    def _on_repository_change(self, name: NamespacedName, old: Object | None, new: Object | None) -> None:
        if extract_trigger_fields(old) != extract_trigger_fields(new):
            self.source_worker.add(name)

    def _on_kustomization_change(self, name: NamespacedName, old: Object | None, new: Object | None) -> None:
        if extract_trigger_fields(old) != extract_trigger_fields(new):
            self.kustomization_worker.add(name)
        for other in list_dependencies(old) - list_dependencies(new):
            self._dependents[other].discard(name)
        for other in list_dependencies(new) - list_dependencies(old):
            self._dependents.setdefault(other, set()).add(name)
        # Whoever depends on it may go on.
        is_another = _extract_readiness(old) != _extract_readiness(new)
        for other in tuple(self._dependents.get(name, ())):
            if is_another or _has_ready_expression(self._kustomization_reflector.get(other)):
                self.kustomization_worker.add(other)

    def _on_drift(self, name: NamespacedName) -> None:
        self._reconciler.mark_drifted(name)
        self.kustomization_worker.add(name)

    def _on_change(self, name: NamespacedName) -> None:
        if self._reconciler.is_waiting(name):
            self.kustomization_worker.add(name)

    def _build_fault_handler(self, kind: str) -> Callable[[str], None]:
        return partial(report_watch_fault, self._metrics, kind)


def observe_kustomization_object(value: Object) -> ObservedObject:
    """Observe an object that a Kustomization applies, by the labels of its owner."""
    labels = read_labels(value)
    return observe_object((labels.get(ownership.NAMESPACE_LABEL, ""), labels.get(ownership.NAME_LABEL, "")), value)


def _resolve_kind(cluster: DynamicClient, group: str, versions: tuple[str, ...], name: str) -> Kind:
    kind = cluster.find_newest_kind(group, versions, name)
    if kind is None:
        raise ToolError(f"the cluster knows no {name} of {group}: install Flux's resource definitions")
    return kind


def list_dependencies(value: Object | None) -> set[NamespacedName]:
    """What a Kustomization depends on, by namespace and name."""
    own = ((value or {}).get("metadata") or {}).get("namespace") or ""
    return {
        (one.get("namespace") or own, str(one.get("name"))) for one in get_field(value, ("spec", "dependsOn")) or ()
    }


def _has_ready_expression(value: Object | None) -> bool:
    return any(one.get("readyExpr") for one in get_field(value, ("spec", "dependsOn")) or ())


def _extract_readiness(value: Object | None) -> object:
    ready = conditions.find_ready_condition(value)
    return ready.get("status"), ready.get("observedGeneration"), get_field(value, ("status", "lastAppliedRevision"))
