"""ExternalSecrets in a cluster: read when they are due, and at once when anything that they hang on is another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.cluster.external_secrets import GROUP, KINDS, NAMESPACES, VERSIONS
from gatekeeper.cluster.reflector import Reflector
from gatekeeper.cluster.secrets import SECRETS
from gatekeeper.cluster.store_credentials import ClusterCredentials
from gatekeeper.controller.externalsecrets import cluster_status, reloader
from gatekeeper.controller.runtime.component import (
    Component,
    extract_trigger_fields,
    report_watch_fault,
    strip_managed_fields,
)
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.worker import Worker
from gatekeeper.errors import ToolError
from gatekeeper.externalsecrets import cluster_external_secret, collection
from gatekeeper.externalsecrets.access_rules import AccessRules
from gatekeeper.externalsecrets.collection import DesiredSecrets, InputObject, KnownNamespaces
from gatekeeper.externalsecrets.decision import Decision
from gatekeeper.externalsecrets.fetch_plan import StoreKey, resolve_store_key
from gatekeeper.externalsecrets.scheduler import RefreshScheduler
from gatekeeper.kube.labels import Labels, read_labels
from gatekeeper.kube.objects import NamespacedName
from gatekeeper.model import get_field
from gatekeeper.stores import registry as stores
from gatekeeper.stores.protocol import Store, StoreError

# With nothing due it is looked again all the same; and what comes at once is taken together.
MAX_IDLE_SECONDS, BATCH_SECONDS = 60.0, 0.1


class ExternalSecretController:
    """All ExternalSecrets, from the first look at them on.

    Args:
        rules: who may fetch what; see `external.allowing`.

    Raises:
        ToolError: the cluster knows no ExternalSecrets.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        rules: AccessRules,
        is_assigned: Callable[[str], bool],
        metrics: Metrics,
    ) -> None:
        self._cluster, self._access_rules, self._metrics = cluster, rules, metrics
        self._reflectors = {name: watch for name in KINDS if (watch := self._create_reflector(name)) is not None}
        if "ExternalSecret" not in self._reflectors:
            raise ToolError(f"the cluster knows no ExternalSecrets of {GROUP}: install its resource definitions")
        self._namespace_reflector = Reflector(
            cluster,
            NAMESPACES,
            _extract_labels,
            lambda *_: self.enqueue_all(),
            is_metadata_only=True,
            on_error=partial(report_watch_fault, metrics, "Namespace"),
        )
        # Of all Secrets no more than that they are others: no value is asked for.
        self._secret_reflector = Reflector(
            cluster,
            SECRETS,
            _extract_resource_version,
            self._on_secret_change,
            is_metadata_only=True,
            on_error=partial(report_watch_fault, metrics, "Secret"),
        )
        self._worker = Worker[str]("ExternalSecret", lambda name: self._sync(), 1, metrics, is_assigned)
        self._scheduler = RefreshScheduler(self._open_store)
        self._stale_lock = threading.Lock()
        self._stale_stores: set[StoreKey] = set()
        self._target_secrets: frozenset[NamespacedName] = frozenset()
        self._stores_by_source_secret: Mapping[NamespacedName, list[StoreKey]] = {}
        self._reported_refusals: set[str] = set()
        # What came of each that was looked at: why it failed, or nothing.
        self._failure_reasons: dict[NamespacedName, str] = {}
        self.component = Component(
            [self._worker],
            [*self._reflectors.values(), self._namespace_reflector, self._secret_reflector],
            self.enqueue_all,
            on_stop=self._scheduler.close,
        )

    def _create_reflector(self, name: str) -> Reflector[Object] | None:
        kind = self._cluster.find_newest_kind(GROUP, VERSIONS, name)
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
        """Looks at everything."""
        self._worker.add("all", BATCH_SECONDS)

    def _on_change(self, kind: str, name: NamespacedName, old: Object | None, new: Object | None) -> None:
        if extract_trigger_fields(old) == extract_trigger_fields(new):
            return
        if kind.endswith("SecretStore") and old is not None:
            with self._stale_lock:
                self._stale_stores.add(StoreKey(kind, *name))
        self.enqueue_all()

    def _on_secret_change(self, name: NamespacedName, old: str | None, new: str | None) -> None:
        if not self._secret_reflector.is_synced.is_set():
            return
        signed = [
            key for key, value in self._list_stores() if _is_referenced(name, list_credential_secrets(key, value))
        ]
        signed += self._stores_by_source_secret.get(name, ())
        if signed:
            with self._stale_lock:
                self._stale_stores.update(signed)
        if signed or name in self._target_secrets:
            self.enqueue_all()

    def _list_stores(self) -> Iterator[tuple[StoreKey, Object]]:
        for kind in ("SecretStore", "ClusterSecretStore"):
            if kind in self._reflectors:
                for name, value in self._reflectors[kind].list_objects():
                    yield StoreKey(kind, *name), value

    def _sync(self) -> float:
        """Reads what is due, and writes it.

        Raises:
            ToolError: the cluster does not answer.
        """
        if not self.component.is_synced:
            return BATCH_SECONDS
        with self._stale_lock:
            stale, self._stale_stores = self._stale_stores, set()
        self._scheduler.invalidate_stores(stale)
        values = [value for watch in self._reflectors.values() for _, value in watch.list_objects()]
        own = dict(self._reflectors["ExternalSecret"].list_objects())
        things = (InputObject(one, one["metadata"].get("namespace") or "", lambda path: "") for one in values)
        spaces = KnownNamespaces({name: labels for (_, name), labels in self._namespace_reflector.list_objects()}, True)
        found = collection.collect_desired_secrets(things, spaces, self._access_rules)
        for one in found.refusals:
            if str(one) not in self._reported_refusals:
                log_event("error", one.reason, controller="ExternalSecret", object=f"{one.namespace}/{one.name}")
        self._reported_refusals = {str(one) for one in found.refusals}
        self._target_secrets = frozenset(one.target_key for one in found.specs)
        self._stores_by_source_secret = map_source_secrets(found)
        done = self._scheduler.run_round(self._cluster, found, own)
        self._log_and_restart(done.decisions)
        self._failure_reasons |= {one.spec.key: one.reason if one.action == "failed" else "" for one in done.decisions}
        for value in values:
            if value["kind"] == cluster_external_secret.KIND:
                cluster_status.write_status(self._cluster, value, spaces.labels, self._failure_reasons)
        return self._scheduler.compute_wait(MAX_IDLE_SECONDS)

    def _log_and_restart(self, decisions: Sequence[Decision]) -> None:
        changed: dict[str, set[str]] = {}
        for one in decisions:
            level = "error" if one.action == "failed" else "info"
            if one.action != "as it is":
                log_event(
                    level,
                    one.reason or one.action,
                    controller="ExternalSecret",
                    action=one.action,
                    object=f"{one.spec.namespace}/{one.spec.name}",
                )
            if one.action == "change":
                changed.setdefault(one.spec.namespace, set()).add(one.spec.target.name)
        for namespace, names in changed.items():
            try:
                for workload in reloader.restart_workloads(self._cluster, namespace, names):
                    log_event(
                        "info",
                        "restarted: its Secret is another",
                        controller="ExternalSecret",
                        object=f"{namespace}/{workload}",
                    )
            except ToolError as error:
                log_event("error", str(error), controller="ExternalSecret", object=namespace)

    def _open_store(self, key: StoreKey, value: Any) -> Store:
        if value is None:
            raise StoreError("is not in the cluster")
        return stores.open_store(value, ClusterCredentials(self._cluster, key.namespace, key.kind == "SecretStore"))


def list_credential_secrets(key: StoreKey, store: Object) -> set[NamespacedName]:
    """The Secrets that a store signs in with, or that vouch for it: whatever it names by name and key."""
    return set(_find_secret_refs(get_field(store, ("spec", "provider")), key.namespace))


def _is_referenced(name: NamespacedName, references: set[NamespacedName]) -> bool:
    # What names no namespace means that of whoever asks.
    return name in references or ("", name[1]) in references


def map_source_secrets(desired: DesiredSecrets) -> dict[NamespacedName, list[StoreKey]]:
    """The Secrets of a cluster that others are filled from, and the stores that they are read through."""
    known: dict[NamespacedName, list[StoreKey]] = {}
    for wanted in desired.specs:
        for item in wanted.data:
            key = resolve_store_key(item.store, wanted.namespace).object_key
            held = get_field(desired.stores.get(key), ("spec", "provider", "kubernetes"))
            if isinstance(held, dict):
                known.setdefault(
                    NamespacedName(str(held.get("remoteNamespace") or "default"), item.remote.key), []
                ).append(key)
    return known


def _find_secret_refs(value: Any, namespace: str) -> Iterator[NamespacedName]:
    if isinstance(value, list):
        for one in value:
            yield from _find_secret_refs(one, namespace)
    elif isinstance(value, Mapping):
        for name, held in value.items():
            is_ref = name.lower().endswith(("secretref", "secretkeyref", "secretaccesskeysecretref", "caprovider"))
            if isinstance(held, Mapping) and isinstance(held.get("name"), str) and (is_ref or "key" in held):
                yield NamespacedName(str(held.get("namespace") or namespace), held["name"])
            yield from _find_secret_refs(held, namespace)


def _extract_labels(value: Object) -> Labels:
    return read_labels(value)


def _extract_resource_version(value: Object) -> str:
    return str(value["metadata"].get("resourceVersion"))
