"""Syncs ExternalSecrets repeatedly: each sync reads those that are due, and records when they are due again."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.externalsecrets.cluster_state import ClusterState, read_cluster_state
from gatekeeper.externalsecrets.collection import DesiredSecrets, RefusedObject
from gatekeeper.externalsecrets.fetch_plan import StoreKey, list_store_keys
from gatekeeper.externalsecrets.model import ExternalSecretSpec
from gatekeeper.externalsecrets.refresh_schedule import LastSync, ObservedState, compute_wait, is_due
from gatekeeper.externalsecrets.secret_writer import SecretWriter
from gatekeeper.externalsecrets.sync import SyncResult, fetch_and_decide
from gatekeeper.model import NamespacedName
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.stores import registry
from gatekeeper.stores.cluster_credentials import ClusterCredentials
from gatekeeper.stores.pool import StorePool, next_backoff
from gatekeeper.stores.protocol import Store, StoreError


class SyncInput(NamedTuple):
    """What to sync.

    Attributes:
        objects: the ExternalSecrets as they are in the cluster; empty if they come from a repository.
    """

    desired: DesiredSecrets
    objects: Mapping[NamespacedName, Any] = {}


def open_store(cluster: DynamicClient | None, key: StoreKey, store: Any) -> Store:
    """Sign in to a store.

    Args:
        cluster: has the credentials that the store names; None to sign in as the user of this machine.
        store: the SecretStore or ClusterSecretStore; None if it does not exist.

    Raises:
        StoreError: the store does not exist, or signing in failed.
        FieldError: the store is invalid or not supported.
    """
    if store is None:
        raise StoreError("not found; create it, or correct the reference to it")
    # A SecretStore must not use credentials of another namespace.
    is_bound = key.kind == "SecretStore"
    source = ClusterCredentials(cluster, key.namespace, is_bound) if cluster is not None else None
    return registry.open_store(store, source)


class RefreshScheduler:
    """Syncs the same ExternalSecrets repeatedly.

    Args:
        open_store: signs in to a store, given its key and the object; None for an object that does not exist.
    """

    def __init__(self, open_store: Callable[[StoreKey, Any], Store]) -> None:
        self._pool = StorePool(open_store)
        self._last_syncs: dict[NamespacedName, LastSync] = {}
        self._refusals: set[RefusedObject] = set()

    def run_round(
        self,
        cluster: DynamicClient | None,
        sync_input: SyncInput,
        should_write: bool = True,
        is_forced: bool = False,
    ) -> SyncResult:
        """Read the secrets that are due and decide; write the decisions if requested.

        Args:
            is_forced: read all ExternalSecrets, due or not.

        Raises:
            ToolError: the cluster refuses, or does not answer.
        """
        now, desired = time.time(), sync_input.desired
        state = read_cluster_state(cluster, desired.specs, sync_input.objects, not should_write)
        due = [spec for spec in desired.specs if is_forced or self._is_due(state, spec, now)]
        result = fetch_and_decide(
            state, due, lambda key: self._pool.get_store(key, _extract_store_definition(desired, key))
        )
        definitions = {key: _extract_store_definition(desired, key) for key in result.plan}
        self._pool.record_faults(definitions, result.fetched.faults)
        if should_write and cluster is not None:
            writer = SecretWriter(cluster, state, result.fetched, now)
            writer.report_refusals(desired.refusals)
            result = result._replace(decisions=writer.write_all(result.decisions))
        self._remember(desired, result, now)
        new_refusals = [refusal for refusal in desired.refusals if refusal not in self._refusals]
        self._refusals = set(desired.refusals)
        return result._replace(new_refusals=new_refusals)

    def _is_due(self, state: ClusterState, spec: ExternalSecretSpec, now: float) -> bool:
        observed = ObservedState(
            state.objects.get(spec.key), state.secrets.get(spec.target_key), state.cluster is not None
        )
        return is_due(spec, observed, self._last_syncs.get(spec.key), now, time.monotonic())

    def _remember(self, desired: DesiredSecrets, result: SyncResult, now: float) -> None:
        keys = {spec.key for spec in desired.specs}
        self._last_syncs = {key: last_sync for key, last_sync in self._last_syncs.items() if key in keys}
        for decision in result.decisions:
            spec = decision.spec
            if decision.action == "failed":
                previous = self._last_syncs.get(spec.key)
                backoff = previous.backoff if previous and previous.spec == spec else None
                last_sync = LastSync(spec, None, False, next_backoff(backoff, time.monotonic()))
            else:
                last_sync = LastSync(spec, now, decision.is_synced and decision.action != "delete", None)
            self._last_syncs[spec.key] = last_sync

    def invalidate_stores(self, stores: Collection[StoreKey]) -> None:
        """Read the secrets of stores again at once, with a new session: the stores or their credentials changed.

        Args:
            stores: the keys of the store objects; see `StoreKey.object_key`.
        """
        for name, last_sync in list(self._last_syncs.items()):
            keys = list_store_keys(last_sync.spec)
            if any(key.object_key in stores for key in keys):
                self._last_syncs[name] = last_sync._replace(read_at=None, backoff=None)
                for key in keys:
                    self._pool.forget(key)

    def compute_wait(self, limit: float) -> float:
        """Return the seconds until the next ExternalSecret is due, but not more than a limit."""
        now, monotonic_now = time.time(), time.monotonic()
        waits = [compute_wait(last_sync, now, monotonic_now) for last_sync in self._last_syncs.values()]
        return max(0.0, min([limit, *waits]))

    def close(self) -> None:
        """Close all stores."""
        self._pool.close()


def _extract_store_definition(desired: DesiredSecrets, key: StoreKey) -> Any:
    """Return the part of a store object that it is opened from; its status changes all the time."""
    store = desired.stores.get(key.object_key)
    return store and {field: store.get(field) for field in ("apiVersion", "kind", "spec")}
