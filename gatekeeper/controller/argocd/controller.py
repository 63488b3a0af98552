"""The Argo CD controller: watches Applications, AppProjects and applied objects, and queues what they trigger."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.model import AuditEvent
from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.argocd import app_project, application_spec, resource_tracking
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.health import lua_client
from gatekeeper.argocd.source_spec import is_same_repository
from gatekeeper.cluster.dynamic_client import DynamicClient, Kind
from gatekeeper.cluster.reflector import Reflector
from gatekeeper.controller.argocd import git_webhook
from gatekeeper.controller.argocd.applications import ApplicationReconciler
from gatekeeper.controller.argocd.context import ArgoEnvironment
from gatekeeper.controller.argocd.source_cache import (
    ApplicationCheck,
    SourceEnvironment,
    SourceSetCache,
    SourceSetKey,
    build_source_key,
)
from gatekeeper.controller.runtime.audit_recorder import fence_recorder
from gatekeeper.controller.runtime.component import (
    Component,
    answer_push,
    enqueue_objects,
    report_watch_fault,
    strip_managed_fields,
)
from gatekeeper.controller.runtime.drift_watch import AppliedObjects, DriftWatch, ObservedObject, observe_object
from gatekeeper.controller.runtime.http_server import HttpRequest, HttpResponse
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.worker import Worker
from gatekeeper.flux.source import resolve_storage_folder
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import NamespacedName, Object, get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.repositories.provenance import CommitProvenance

SOURCE_WORKERS = 4
PROVIDER = "Argo CD"
# An object that changes often triggers a reconcile after this delay, together with its other changes.
SETTLE_SECONDS = 0.2
# How often a source is queried for new revisions; the jitter spreads the queries.
POLL_SECONDS, POLL_JITTER = 120.0, 0.2


class ArgoOptions(NamedTuple):
    """Settings of the Argo CD controller.

    Attributes:
        budget: limits what a sync may prune without approval.
        check: renders and checks checkouts, and the objects that Applications apply from them.
        argocd_namespace: namespace of Argo CD's own objects.
        label_selector: only Applications with these labels are reconciled; empty for all.
        concurrency: how many Applications are reconciled in parallel.
        storage_dir: where commits and charts are kept; None for the user's cache folder.
    """

    budget: PruneBudget
    check: ApplicationCheck
    argocd_namespace: str = application_spec.DEFAULT_ARGOCD_NAMESPACE
    label_selector: str = ""
    concurrency: int = 8
    storage_dir: Path | None = None


class ArgoController:
    """Reconciles the Applications of a cluster.

    Args:
        is_assigned: whether this replica holds the Lease of a source set's shard.
        record: records an audit event; what cannot be recorded is not done.

    Raises:
        ToolError: Argo CD's resource definitions are not installed, its settings are invalid, or the program for
            health scripts is not built.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        options: ArgoOptions,
        is_assigned: Callable[[str], bool],
        record: Callable[[AuditEvent], None],
        metrics: Metrics,
    ) -> None:
        self._cluster, self._metrics, self._argocd_namespace = cluster, metrics, options.argocd_namespace
        self._is_shard_assigned = is_assigned
        self._application_reflector, self._project_reflector = self._create_reflectors(options.label_selector)
        self._tracking = resource_tracking.read_tracking_settings(cluster, options.argocd_namespace)
        lua_client.require_program()
        self.source_worker = Worker[SourceSetKey](
            "Repository", self._refresh_source, SOURCE_WORKERS, metrics, lambda key: is_assigned(str(key))
        )
        self.application_worker = Worker[NamespacedName](
            "Application", self._reconcile_application, options.concurrency, metrics, self._is_application_assigned
        )
        self._source_cache = self._create_source_cache(options)
        self._drift_watch = DriftWatch(
            cluster,
            self._on_drift,
            self._on_change,
            partial(report_watch_fault, metrics),
            AppliedObjects(self._observe, self._tracking.instance_label if self._tracking.method == "label" else ""),
        )
        self._reconciler = ApplicationReconciler(
            self._create_environment(options, record),
            self._application_reflector.get,
            self._source_cache,
            self.source_worker.add,
        )
        self.component = Component(
            [self.source_worker, self.application_worker],
            [self._project_reflector, self._application_reflector],
            self._enqueue_all,
            self._drift_watch,
        )

    def _create_source_cache(self, options: ArgoOptions) -> SourceSetCache:
        environment = SourceEnvironment(
            cluster=self._cluster,
            argocd_namespace=self._argocd_namespace,
            check=options.check,
            storage_dir=options.storage_dir or resolve_storage_folder(),
            metrics=self._metrics,
        )
        return SourceSetCache(environment, self._list_applications, self._list_signers, self.application_worker.add)

    def _create_environment(self, options: ArgoOptions, record: Callable[[AuditEvent], None]) -> ArgoEnvironment:
        return ArgoEnvironment(
            cluster=self._cluster,
            argocd_namespace=self._argocd_namespace,
            tracking=self._tracking,
            budget=options.budget,
            record=fence_recorder(record, self._is_application_assigned),
            metrics=self._metrics,
            get_project=self._project_reflector.get,
            list_managed=self._list_managed,
            watch_entries=self._drift_watch.watch_entries,
        )

    def _create_reflectors(self, label_selector: str) -> tuple[Reflector[Object], Reflector[Object]]:
        """Create the reflectors of Applications and AppProjects."""
        return (
            Reflector(
                self._cluster,
                self._require_kind("Application"),
                _strip_application,
                self._on_application_change,
                label_selector,
                on_error=partial(report_watch_fault, self._metrics, "Application"),
            ),
            Reflector(
                self._cluster,
                self._require_kind("AppProject"),
                strip_managed_fields,
                self._on_project_change,
                on_error=partial(report_watch_fault, self._metrics, "AppProject"),
                namespace=self._argocd_namespace,
            ),
        )

    def _require_kind(self, name: str) -> Kind:
        return self._cluster.require_kind(application_spec.GROUP, application_spec.VERSIONS, name, PROVIDER)

    def _is_application_assigned(self, name: NamespacedName) -> bool:
        return self._is_shard_assigned(str(self._find_source(name) or name))

    def _find_source(self, name: NamespacedName) -> SourceSetKey | None:
        """Return the source set of an Application; None if there is none."""
        value = self._application_reflector.get(name)
        return _get_source_key(value) if value is not None else None

    def _enqueue_all(self) -> None:
        enqueue_objects(self._application_reflector, self.application_worker)
        for _, value in self._application_reflector.list_objects():
            key = _get_source_key(value)
            if key is not None:
                self.source_worker.add(key)

    def find_provenance(self, name: NamespacedName) -> CommitProvenance:
        """Return the provenance of the commit that an Application is applied from; empty if it is not known."""
        return self._source_cache.builds.find_provenance(self._find_source(name))

    def handle_webhook(self, request: HttpRequest) -> HttpResponse | None:
        """Handle the call of a Git host at Argo CD's webhook address: refresh the sources of its repository.

        Raises:
            ToolError: the cluster does not answer.
        """
        if request.path != git_webhook.WEBHOOK_PATH:
            return None
        return answer_push(request, self._find_called_sources, self.source_worker, git_webhook.REFUSAL)

    def _find_called_sources(self, request: HttpRequest) -> list[SourceSetKey] | None:
        urls = git_webhook.find_called_repositories(self._cluster, self._argocd_namespace, request)
        if urls is None:
            return None
        keys = [_get_source_key(value) for _, value in self._application_reflector.list_objects()]
        return [
            key
            for key in keys
            if key is not None
            and any(is_same_repository(source_url, url) for source_url, _, _ in key.source_set for url in urls)
        ]

    def _refresh_source(self, key: SourceSetKey) -> float | None:
        is_used = self._source_cache.refresh(key)
        return POLL_SECONDS * random.uniform(1, 1 + POLL_JITTER) if is_used else None

    def _reconcile_application(self, name: NamespacedName) -> float | None:
        if not self._project_reflector.is_synced.is_set():
            # Without its project an Application would be denied.
            return SETTLE_SECONDS
        return self._reconciler.reconcile(name)

    def _list_applications(self, key: SourceSetKey) -> list[tuple[Object, Application]]:
        applications = []
        for _, value in self._application_reflector.list_objects():
            if _get_source_key(value) == key:
                manifest = {name: field for name, field in value.items() if name not in ("key", "status")}
                applications.append((manifest, application_spec.parse_application(manifest)))
        return applications

    def _list_signers(self, project_name: str) -> tuple[str, ...]:
        project = self._project_reflector.get(NamespacedName(self._argocd_namespace, project_name))
        return app_project.list_signing_keys(project) if project is not None else ()

    def _on_application_change(self, name: NamespacedName, old: Object | None, new: Object | None) -> None:
        if _extract_trigger_fields(old) != _extract_trigger_fields(new):
            self.application_worker.add(name)

    def _on_project_change(self, name: NamespacedName, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and old.get("spec") == new.get("spec"):
            return
        for application_name, value in self._application_reflector.list_objects():
            if (get_field(value, ("spec", "project")) or "default") == name.name:
                self._on_drift(application_name)

    def _observe(self, value: Object) -> ObservedObject | None:
        instance_name = resource_tracking.find_owner(self._tracking, value)
        return observe_object(self._parse_instance_name(instance_name), value) if instance_name else None

    def _list_managed(self, instance_name: str) -> list[InventoryEntry]:
        return self._drift_watch.list_objects(self._parse_instance_name(instance_name))

    def _parse_instance_name(self, instance_name: str) -> NamespacedName:
        """Return the Application of an instance name; see `resource_tracking.format_instance_name`."""
        namespace, separator, name = instance_name.partition("_")
        return NamespacedName(namespace, name) if separator else NamespacedName(self._argocd_namespace, instance_name)

    def _on_drift(self, name: NamespacedName) -> None:
        self._reconciler.mark_drifted(name)
        self.application_worker.add(name)

    def _on_change(self, name: NamespacedName) -> None:
        self.application_worker.add(name, SETTLE_SECONDS)


def _get_source_key(cached: Object) -> SourceSetKey | None:
    """Return the source set of an Application that the reflector keeps; None if its spec is invalid."""
    key: SourceSetKey | None = cached["key"]
    return key


def _parse_source_key(value: Object) -> SourceSetKey | None:
    try:
        return build_source_key(application_spec.parse_application(value))
    except (FieldError, KeyError, TypeError):
        return None


def _strip_application(value: Object) -> Object:
    """Return what the reflector keeps of an Application: its spec and source set, but not its large status."""
    metadata = {key: field for key, field in value["metadata"].items() if key != "managedFields"}
    phase = get_field(value, ("status", "operationState", "phase"))
    kept: Object = {"key": _parse_source_key(value)}
    kept |= {key: value[key] for key in ("apiVersion", "kind", "spec", "operation") if key in value}
    return {**kept, "metadata": metadata, "status": {"operationState": {"phase": phase}}}


def _extract_trigger_fields(value: Object | None) -> object:
    """Return the fields of an Application whose change triggers a reconcile; of its status only a termination."""
    metadata = (value or {}).get("metadata") or {}
    names = ("uid", "deletionTimestamp", "annotations", "labels")
    is_terminating = get_field(value, ("status", "operationState", "phase")) == "Terminating"
    triggers = (value or {}).get("spec"), (value or {}).get("operation"), is_terminating
    return value is None, triggers, [metadata.get(name) for name in names]
