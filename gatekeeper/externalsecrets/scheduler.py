"""Round after round of fetching: what is due, when the next is, and what failed left alone for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.externalsecrets import fetch_plan, refresh_schedule, sync
from gatekeeper.externalsecrets.collection import DesiredSecrets
from gatekeeper.externalsecrets.fetch_plan import StoreKey
from gatekeeper.externalsecrets.model import ExternalSecretSpec
from gatekeeper.externalsecrets.sync import SyncContext, SyncResult
from gatekeeper.kube.objects import NamespacedName
from gatekeeper.stores.pool import Backoff, StorePool, next_backoff
from gatekeeper.stores.protocol import Store


class LastSync(NamedTuple):
    """What is known of an ExternalSecret that was read in an earlier round.

    Attributes:
        spec: as it was then; when it asks for something else it is read at once.
        read_at: when it was read, seconds since 1970; None where it failed.
        is_in_sync: whether its Secret was then as it shall be, so that one that differs is mended.
        backoff: how long it is left alone where it failed.
    """

    spec: ExternalSecretSpec
    read_at: float | None
    is_in_sync: bool
    backoff: Backoff | None


def _extract_store_spec(desired: DesiredSecrets, key: StoreKey) -> Any:
    """What a store is opened from: of the object only what it asks for, for its status changes all the time."""
    value = desired.stores.get(key.object_key)
    return value and {field: value.get(field) for field in ("apiVersion", "kind", "spec")}


def _compute_due_time(last_sync: LastSync, now: float) -> float:
    """When an ExternalSecret is due again, by what is remembered: seconds since 1970."""
    # The clock has jumped.
    if last_sync.read_at is None or last_sync.read_at > now:
        return now
    if last_sync.spec.refresh_policy != "Periodic" or last_sync.spec.interval <= 0:
        return refresh_schedule.NEVER
    return refresh_schedule.compute_next_read(last_sync.spec, last_sync.read_at)


class RefreshScheduler:
    """Rounds over the same ExternalSecrets, one after the other.

    Args:
        open_: signs in to a store, given its key and the object.
    """

    def __init__(self, open_store: Callable[[StoreKey, Any], Store]) -> None:
        self._pool = StorePool(open_store)
        self._last_syncs: dict[NamespacedName, LastSync] = {}

    def run_round(
        self,
        cluster: DynamicClient | None,
        desired: DesiredSecrets,
        objects: Mapping[NamespacedName, Any],
        should_write: bool = True,
        is_forced: bool = False,
    ) -> SyncResult:
        """One round: reads what is due and decides; and does it, if so asked.

        Args:
            objects: the ExternalSecrets as they are in the cluster, where they come from there.
            is_forced: read all, due or not.
        """
        now = time.time()
        round_ = sync.build_context(cluster, desired, objects, now, not should_write)
        due = desired.specs if is_forced else [one for one in desired.specs if self._is_due(round_, one)]
        done = sync.decide_all(round_, due, lambda key: self._pool.get_store(key, _extract_store_spec(desired, key)))
        self._pool.record_faults({key: _extract_store_spec(desired, key) for key in done.plan}, done.fetched.faults)
        if should_write and cluster is not None:
            sync.report_refusals(round_, desired.refusals)
            done = sync.apply_decisions(round_, done)
        self._remember(desired, done, now)
        return done

    def _is_due(self, context: SyncContext, spec: ExternalSecretSpec) -> bool:
        seen = self._last_syncs.get(spec.key)
        if seen is not None and seen.spec == spec:
            if seen.backoff is not None:
                return time.monotonic() >= seen.backoff.until
            existing = context.existing_secrets.get(spec.target_key)
            if (
                seen.is_in_sync
                and context.cluster is not None
                and not refresh_schedule.is_secret_intact(spec, existing)
            ):
                return True
            # A Secret that was waited for is there.
            if not seen.is_in_sync and spec.target.creation_policy == "Merge" and existing is not None:
                return True
            return _compute_due_time(seen, context.started_at) <= context.started_at
        return sync.is_due(context, spec)

    def _remember(self, desired: DesiredSecrets, result: SyncResult, now: float) -> None:
        names = {one.key for one in desired.specs}
        self._last_syncs = {name: seen for name, seen in self._last_syncs.items() if name in names}
        for one in result.decisions:
            name = one.spec.key
            before = self._last_syncs.get(name)
            if one.action == "failed":
                paused = before.backoff if before and before.spec == one.spec else None
                self._last_syncs[name] = LastSync(one.spec, None, False, next_backoff(paused, time.monotonic()))
            else:
                self._last_syncs[name] = LastSync(one.spec, now, one.is_synced and one.action != "delete", None)

    def invalidate_stores(self, stores: Collection[StoreKey]) -> None:
        """Reads at once what comes from some stores, over a new sign-in: they are others, or what they sign in with is.

        Args:
            stores: by their objects; see `StoreKey.object`.
        """
        for name, seen in list(self._last_syncs.items()):
            keys = fetch_plan.list_store_keys(seen.spec)
            if any(key.object_key in stores for key in keys):
                self._last_syncs[name] = seen._replace(read_at=None, backoff=None)
                for key in keys:
                    self._pool.forget(key)

    def compute_wait(self, limit: float) -> float:
        """How many seconds nothing that was read is due again; no more than the longest."""
        now, tick = time.time(), time.monotonic()
        waits = [
            seen.backoff.until - tick if seen.backoff else _compute_due_time(seen, now) - now
            for seen in self._last_syncs.values()
        ]
        return max(0.0, min([limit, *waits]))

    def close(self) -> None:
        """Closes all stores."""
        self._pool.close()
