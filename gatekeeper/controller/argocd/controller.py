"""Argo CD's resources in a cluster, and what follows when one of them, or something that was applied, changes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.model import AuditEvent
from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.argocd import app_project, application_spec, resource_tracking
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.health import lua_client
from gatekeeper.argocd.source_spec import is_same_repository
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.cluster.reflector import Reflector
from gatekeeper.controller.argocd import git_webhook
from gatekeeper.controller.argocd.applications import ApplicationReconciler
from gatekeeper.controller.argocd.context import ArgoEnvironment
from gatekeeper.controller.argocd.source_cache import SourceSetCache, SourceSetKey, build_source_key
from gatekeeper.controller.runtime.audit_recorder import fence_recorder
from gatekeeper.controller.runtime.component import Component, report_watch_fault, strip_managed_fields
from gatekeeper.controller.runtime.drift_watch import DriftWatch, ObservedObject, observe_object
from gatekeeper.controller.runtime.http_server import HttpRequest, HttpResponse
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.worker import Worker
from gatekeeper.errors import ToolError
from gatekeeper.flux import source
from gatekeeper.kube.decoder import FieldError
from gatekeeper.kube.objects import NamespacedName
from gatekeeper.model import get_field
from gatekeeper.repositories.provenance import CommitProvenance

SOURCE_WORKERS = 4
# What changes often is looked at no more often than so: seconds.
SETTLE_SECONDS = 0.2
# How often a repository is asked, and by how much that is spread.
POLL_SECONDS, JITTER = 120.0, 0.2


class ArgoOptions(NamedTuple):
    """How Argo CD's resources are followed.

    Attributes:
        argocd_namespace: the namespace of Argo CD's own objects.
        concurrency: so many Applications at a time.
        config_file: judge by this instead of each repository's own; None for its own.
        storage_dir: where commits are kept; None for the user's folder.
    """

    budget: PruneBudget
    argocd_namespace: str = application_spec.DEFAULT_ARGOCD_NAMESPACE
    label_selector: str = ""
    concurrency: int = 8
    config_file: Path | None = None
    storage_dir: Path | None = None


class ArgoController:
    """Applications, from the first look at them on.

    Args:
        is_mine: whether this replica follows something, by its name.
        note: see `Round.note`.

    Raises:
        ToolError: the cluster knows no Applications, or does not tell how it marks what belongs to them; or the
            program that says how well objects are is not built.
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
        kinds = [
            cluster.find_newest_kind(application_spec.GROUP, application_spec.VERSIONS, name)
            for name in ("Application", "AppProject")
        ]
        if kinds[0] is None or kinds[1] is None:
            raise ToolError(
                f"the cluster knows no Application of {application_spec.GROUP}: install Argo CD's definitions"
            )
        self._tracking = resource_tracking.read_tracking_settings(cluster, options.argocd_namespace)
        lua_client.require_program()
        self._application_reflector = Reflector(
            cluster,
            kinds[0],
            _strip_application,
            self._on_application_change,
            options.label_selector,
            on_error=self._build_fault_handler("Application"),
        )
        self._project_reflector = Reflector(
            cluster,
            kinds[1],
            strip_managed_fields,
            self._on_project_change,
            on_error=self._build_fault_handler("AppProject"),
            namespace=options.argocd_namespace,
        )

        def mine(name: NamespacedName) -> bool:
            value = self._application_reflector.get(name)
            key = _get_source_key(value) if value is not None else None
            return is_assigned(str(key) if key is not None else "/".join(name))

        self.source_worker = Worker[SourceSetKey](
            "Repository", self._refresh_source, SOURCE_WORKERS, metrics, lambda key: is_assigned(str(key))
        )
        self.application_worker = Worker[NamespacedName](
            "Application", self._reconcile_application, options.concurrency, metrics, mine
        )
        storage = options.storage_dir or source.resolve_storage_folder()
        self.source_cache = SourceSetCache(
            cluster,
            options.argocd_namespace,
            self._list_applications,
            self._list_signers,
            self.application_worker.add,
            metrics,
            options.config_file,
            storage,
        )
        self.drift_watch = DriftWatch(
            cluster,
            self._on_drift,
            self._on_change,
            partial(report_watch_fault, metrics),
            self._observe,
            self._build_tracking_selector(),
        )
        place = ArgoEnvironment(
            cluster, options.argocd_namespace, self._tracking, options.budget, fence_recorder(record, mine), metrics
        )
        self._reconciler = ApplicationReconciler(
            place,
            self._application_reflector.get,
            self._project_reflector.get,
            self.source_cache,
            self.source_worker.add,
            self._watch_entries,
            self._list_managed,
        )
        self.component = Component(
            [self.source_worker, self.application_worker],
            [self._project_reflector, self._application_reflector],
            self.enqueue_all,
            self.drift_watch,
        )

    def enqueue_all(self) -> None:
        """Looks at everything: what was another's may be ours now."""
        for name, value in self._application_reflector.list_objects():
            self.application_worker.add(name)
            key = _get_source_key(value)
            if key is not None:
                self.source_worker.add(key)

    def find_provenance(self, name: NamespacedName) -> CommitProvenance:
        """Whom the commit that an Application is applied from is owed to."""
        value = self._application_reflector.get(name)
        key = _get_source_key(value) if value is not None else None
        state = self.source_cache.get_state(key) if key is not None else None
        return state.provenance if state is not None else CommitProvenance()

    def handle_webhook(self, request: HttpRequest) -> HttpResponse | None:
        """A Git host says that there is something new, to the address that it knows of Argo CD."""
        if request.path != git_webhook.WEBHOOK_PATH:
            return None
        if request.method != "POST":
            return HttpResponse(405, b"POST is what a host sends\n")
        urls = git_webhook.find_called_repositories(self._cluster, self._argocd_namespace, request)
        if urls is None:
            return HttpResponse(404, b"nobody vouches for this\n")
        for _, value in self._application_reflector.list_objects():
            key = _get_source_key(value)
            if key is not None and any(is_same_repository(held[0], one) for held in key.source_set for one in urls):
                self.source_worker.add(key)
        return HttpResponse(200, b"")

    def _refresh_source(self, key: SourceSetKey) -> float | None:
        return POLL_SECONDS * random.uniform(1, 1 + JITTER) if self.source_cache.refresh(key) else None

    def _reconcile_application(self, name: NamespacedName) -> float | None:
        if not self._project_reflector.is_synced.is_set():
            # Without its project nothing is permitted yet.
            return SETTLE_SECONDS
        return self._reconciler.reconcile(name)

    def _list_applications(self, key: SourceSetKey) -> list[tuple[Object, Application]]:
        found = []
        for _, value in self._application_reflector.list_objects():
            if _get_source_key(value) == key:
                own = {name: held for name, held in value.items() if name not in ("key", "status")}
                found.append((own, application_spec.parse_application(own)))
        return found

    def _list_signers(self, project: str) -> tuple[str, ...]:
        held = self._project_reflector.get(NamespacedName(self._argocd_namespace, project))
        return app_project.list_signing_keys(held) if held is not None else ()

    def _on_application_change(self, name: NamespacedName, old: Object | None, new: Object | None) -> None:
        if _extract_trigger_fields(old) != _extract_trigger_fields(new):
            self.application_worker.add(name)

    def _on_project_change(self, name: NamespacedName, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and old.get("spec") == new.get("spec"):
            return
        for other, value in self._application_reflector.list_objects():
            if (get_field(value, ("spec", "project")) or "default") == name[1]:
                self._reconciler.mark_drifted(other)
                self.application_worker.add(other)

    def _build_tracking_selector(self) -> str:
        return "" if self._tracking.method != "label" else self._tracking.instance_label

    def _observe(self, value: Object) -> ObservedObject | None:
        app = resource_tracking.find_owner(self._tracking, value)
        return observe_object(_parse_application_name(app, self._argocd_namespace), value) if app else None

    def _watch_entries(self, entries: Iterable[InventoryEntry]) -> None:
        self.drift_watch.watch_entries(entries)

    def _list_managed(self, instance_name: str) -> list[InventoryEntry]:
        return self.drift_watch.list_objects(_parse_application_name(instance_name, self._argocd_namespace))

    def _on_drift(self, name: NamespacedName) -> None:
        self._reconciler.mark_drifted(name)
        self.application_worker.add(name)

    def _on_change(self, name: NamespacedName) -> None:
        self.application_worker.add(name, SETTLE_SECONDS)

    def _build_fault_handler(self, kind: str) -> Callable[[str], None]:
        return partial(report_watch_fault, self._metrics, kind)


def _get_source_key(cached: Object) -> SourceSetKey | None:
    """From what an Application that is kept is rendered; None where it is not valid."""
    found: SourceSetKey | None = cached["key"]
    return found


def _parse_source_key(value: Object) -> SourceSetKey | None:
    try:
        return build_source_key(application_spec.parse_application(value))
    except (FieldError, KeyError, TypeError):
        return None


def _parse_application_name(instance_name: str, argocd_namespace: str) -> NamespacedName:
    """The Application that a mark names: that of another namespace begins with it."""
    namespace, sign, name = instance_name.partition("_")
    return NamespacedName(namespace, name) if sign else NamespacedName(argocd_namespace, instance_name)


def _strip_application(value: Object) -> Object:
    """What of an Application is kept: not what there is of it, of which there is much."""
    metadata = {key: held for key, held in value["metadata"].items() if key != "managedFields"}
    phase = get_field(value, ("status", "operationState", "phase"))
    few: Object = {"key": _parse_source_key(value)}
    few |= {key: value[key] for key in ("apiVersion", "kind", "spec", "operation") if key in value}
    return {**few, "metadata": metadata, "status": {"operationState": {"phase": phase}}}


def _extract_trigger_fields(value: Object | None) -> object:
    """What of an Application asks for work when it is another; that it was synced does not, that it ends does."""
    metadata = (value or {}).get("metadata") or {}
    names = ("uid", "deletionTimestamp", "annotations", "labels")
    is_ending = get_field(value, ("status", "operationState", "phase")) == "Terminating"
    own = (value or {}).get("spec"), (value or {}).get("operation"), is_ending
    return value is None, own, [metadata.get(name) for name in names]
