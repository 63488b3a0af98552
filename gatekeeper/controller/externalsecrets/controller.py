"""The controller for ExternalSecrets: it reads them when they are due, and at once when something they use changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.cluster.reflector import Reflector
from gatekeeper.cluster.secrets import SECRETS
from gatekeeper.controller.externalsecrets import cluster_status, reloader
from gatekeeper.controller.externalsecrets.refresh_loop import CONTROLLER_NAME, RefreshLoop
from gatekeeper.controller.externalsecrets.secret_references import is_credential_secret, map_source_secrets
from gatekeeper.controller.runtime.component import (
    Component,
    extract_trigger_fields,
    report_watch_fault,
    strip_managed_fields,
)
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.errors import ToolError
from gatekeeper.externalsecrets import cluster_external_secret, cluster_objects
from gatekeeper.externalsecrets.access_rules import AccessRules
from gatekeeper.externalsecrets.collection import InputObject, KnownNamespaces, collect_desired_secrets
from gatekeeper.externalsecrets.decision import Decision
from gatekeeper.externalsecrets.external_secret_spec import STORE_KINDS, SpecCache
from gatekeeper.externalsecrets.fetch_plan import StoreKey
from gatekeeper.externalsecrets.model import GROUP
from gatekeeper.externalsecrets.scheduler import RefreshScheduler, SyncInput, open_store
from gatekeeper.model import NamespacedName, Object, read_labels

# A sync runs after this time, even if nothing is due.
MAX_IDLE_SECONDS = 60.0
# The pause until all objects have been listed.
SYNC_POLL_SECONDS = 0.1


class ExternalSecretController:
    """Syncs all ExternalSecrets of a cluster.

    Args:
        rules: which namespace may read which secrets.
        is_assigned: whether this replica is responsible for a queue key.

    Attributes:
        component: its running parts.

    Raises:
        ToolError: the cluster does not serve ExternalSecrets.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        rules: AccessRules,
        is_assigned: Callable[[str], bool],
        metrics: Metrics,
    ) -> None:
        self._cluster, self._access_rules, self._metrics = cluster, rules, metrics
        cluster.require_kind(GROUP, cluster_objects.VERSIONS, "ExternalSecret", "external-secrets")
        self._reflectors = {
            name: reflector for name in cluster_objects.KINDS if (reflector := self._create_reflector(name)) is not None
        }
        self._namespace_reflector = Reflector(
            cluster,
            cluster_objects.NAMESPACES,
            read_labels,
            lambda *_: self.enqueue_all(),
            is_metadata_only=True,
            on_error=partial(report_watch_fault, metrics, "Namespace"),
        )
        # The watch of Secrets requests their metadata only. A sync reads the managed Secrets whole: it compares the
        # hash of their data with the one that was written, to correct drift.
        self._secret_reflector = Reflector(
            cluster,
            SECRETS,
            _extract_resource_version,
            self._on_secret_change,
            is_metadata_only=True,
            on_error=partial(report_watch_fault, metrics, "Secret"),
        )
        self._loop = RefreshLoop(self._run_round, metrics, is_assigned)
        self._scheduler = RefreshScheduler(partial(open_store, cluster))
        self._spec_cache = SpecCache()
        self._stale_lock = threading.Lock()
        self._stale_stores: set[StoreKey] = set()
        self._target_secrets: frozenset[NamespacedName] = frozenset()
        self._stores_by_source_secret: Mapping[NamespacedName, list[StoreKey]] = {}
        # The reason of the last failure of each ExternalSecret; empty after a success.
        self._failure_reasons: dict[NamespacedName, str] = {}
        self.component = Component(
            [self._loop.worker],
            [*self._reflectors.values(), self._namespace_reflector, self._secret_reflector],
            self.enqueue_all,
            on_stop=self._scheduler.close,
        )

    def _create_reflector(self, name: str) -> Reflector[Object] | None:
        kind = self._cluster.find_newest_kind(GROUP, cluster_objects.VERSIONS, name)
        if kind is None:
            return None
        return Reflector(
            self._cluster,
            kind,
            strip_managed_fields,
            partial(self._on_change, name),
            on_error=partial(report_watch_fault, self._metrics, name),
        )

    def enqueue_all(self) -> None:
        """Request a sync."""
        self._loop.request_round()

    def _on_change(self, kind: str, name: NamespacedName, old: Object | None, new: Object | None) -> None:
        if extract_trigger_fields(old) == extract_trigger_fields(new):
            return
        if kind in STORE_KINDS and old is not None:
            self._mark_stale([StoreKey(kind, *name)])
        self.enqueue_all()

    def _on_secret_change(self, name: NamespacedName, old: str | None, new: str | None) -> None:
        if not self._secret_reflector.is_synced.is_set():
            return
        stale = [key for key, store in self._list_stores() if is_credential_secret(name, key, store)]
        stale += self._stores_by_source_secret.get(name, ())
        self._mark_stale(stale)
        if stale or name in self._target_secrets:
            self.enqueue_all()

    def _mark_stale(self, stores: Sequence[StoreKey]) -> None:
        with self._stale_lock:
            self._stale_stores.update(stores)

    def _list_stores(self) -> Iterator[tuple[StoreKey, Object]]:
        for kind in STORE_KINDS:
            if kind in self._reflectors:
                for name, store in self._reflectors[kind].list_objects():
                    yield StoreKey(kind, *name), store

    def _run_round(self) -> float:
        if not self.component.is_synced:
            return SYNC_POLL_SECONDS
        with self._stale_lock:
            stale, self._stale_stores = self._stale_stores, set()
        self._scheduler.invalidate_stores(stale)
        values = [value for reflector in self._reflectors.values() for _, value in reflector.list_objects()]
        external_secrets = dict(self._reflectors["ExternalSecret"].list_objects())
        objects = (InputObject(value, value["metadata"].get("namespace") or "") for value in values)
        labels = {name: labels for (_, name), labels in self._namespace_reflector.list_objects()}
        namespaces = KnownNamespaces(labels, is_complete=True)
        desired = collect_desired_secrets(objects, namespaces, self._access_rules, self._spec_cache)
        self._target_secrets = frozenset(spec.target_key for spec in desired.specs)
        self._stores_by_source_secret = map_source_secrets(desired)
        result = self._scheduler.run_round(self._cluster, SyncInput(desired, external_secrets))
        for refusal in result.new_refusals:
            _log("error", refusal.reason, f"{refusal.namespace}/{refusal.name}")
        _log_decisions(result.decisions)
        self._restart_workloads(result.decisions)
        self._failure_reasons |= {
            decision.spec.key: decision.reason if decision.action == "failed" else "" for decision in result.decisions
        }
        for value in values:
            if value["kind"] == cluster_external_secret.KIND:
                cluster_status.write_status(self._cluster, value, labels, self._failure_reasons)
        return self._scheduler.compute_wait(MAX_IDLE_SECONDS)

    def _restart_workloads(self, decisions: Sequence[Decision]) -> None:
        """Restart the workloads that use a changed Secret, if their annotations require it."""
        changed: dict[str, set[str]] = {}
        for decision in decisions:
            if decision.action == "change":
                changed.setdefault(decision.spec.namespace, set()).add(decision.spec.target.name)
        for namespace, names in changed.items():
            try:
                for workload in reloader.restart_workloads(self._cluster, namespace, names):
                    _log("info", "restarted, because a Secret that it uses has changed", f"{namespace}/{workload}")
            except ToolError as error:
                _log("error", str(error), namespace)


def _log_decisions(decisions: Sequence[Decision]) -> None:
    for decision in decisions:
        if decision.action != "unchanged":
            level = "error" if decision.action == "failed" else "info"
            _log(level, decision.reason or decision.action, str(decision.spec.key), action=decision.action)


def _log(level: str, message: str, name: str, **fields: object) -> None:
    log_event(level, message, controller=CONTROLLER_NAME, object=name, **fields)


def _extract_resource_version(value: Object) -> str:
    return str(value["metadata"].get("resourceVersion"))
