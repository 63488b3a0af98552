"""Leader election with shards: one Lease per shard, held by one replica at a time.

Source: client-go `tools/leaderelection`: a Lease lasts 15 seconds and is renewed within 10, with a try every 2. Only
the local monotonic clock is used: a Lease has expired when it was not seen to change for its duration.
"""

from __future__ import annotations

import math
import threading
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from gatekeeper.cluster.dynamic_client import CONFLICT, NOT_FOUND, ApiStatusError, DynamicClient, Kind
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.errors import ToolError
from gatekeeper.model import Object, get_field
from gatekeeper.named_tuple import NamedTuple

LEASE_KIND = Kind("coordination.k8s.io/v1", "leases", True)
LEASE_SECONDS, RENEW_DEADLINE_SECONDS, RETRY_PERIOD_SECONDS = 15, 10.0, 2.0
REPLICA_LABEL = "gatekeeper-gitops.io/replica-of"
# The Lease of a replica that was silent for this long is deleted.
REPLICA_EXPIRY_SECONDS = 120.0


class ObservedLease(NamedTuple):
    """The version of a Lease, and when it was first seen, by the local monotonic clock."""

    version: str
    observed_at: float


class LeaseSettings(NamedTuple):
    """The Leases to compete for.

    Attributes:
        name: of the Lease; with several shards the prefix of their names.
        identity: name of this replica.
    """

    namespace: str
    name: str
    identity: str
    shard_count: int = 1


class LeaderElection:
    """The Leases of this replica.

    Args:
        on_acquire: called when this replica has acquired a Lease.
        build_annotations: builds further annotations of the Leases that this replica holds.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        settings: LeaseSettings,
        metrics: Metrics,
        on_acquire: Callable[[], None],
        build_annotations: Callable[[], dict[str, str]] = dict,
    ) -> None:
        self._cluster, self._settings = cluster, settings
        numbered = [f"{settings.name}-{number}" for number in range(settings.shard_count)]
        self._leases = numbered if settings.shard_count > 1 else [settings.name]
        self._on_acquire, self._build_annotations, self._metrics = on_acquire, build_annotations, metrics
        self._renewed_at: dict[str, float] = {}
        self._observed_leases: dict[str, ObservedLease] = {}
        self._releasing: set[str] = set()
        self._stop_event = threading.Event()
        self._thread = threading.Thread(target=self._run, name="election", daemon=True)

    def start(self) -> None:
        """Start acquiring and renewing Leases in a thread."""
        self._thread.start()

    def is_responsible_for(self, key: str) -> bool:
        """Whether this replica holds the Lease of the shard that a key belongs to."""
        return self._is_held(self._leases[zlib.crc32(key.encode()) % len(self._leases)])

    @property
    def is_leader(self) -> bool:
        """Whether this replica holds any Lease."""
        return any(map(self._is_held, self._leases))

    def _is_held(self, lease: str) -> bool:
        renewed = self._renewed_at.get(lease)
        return renewed is not None and time.monotonic() - renewed < RENEW_DEADLINE_SECONDS

    def stop(self) -> None:
        """Release all Leases, so that other replicas need not wait until they expire."""
        self._stop_event.set()
        if self._thread.ident is not None:
            self._thread.join(RENEW_DEADLINE_SECONDS)
        for lease in [*self._renewed_at]:
            self._release_lease(lease)
        if len(self._leases) > 1:
            try:
                self._delete_lease(self._build_replica_lease_name())
            except ToolError as error:
                log_event("warning", str(error), controller="election")

    def _run(self) -> None:
        previous: set[str] = set()
        while not self._stop_event.is_set():
            try:
                self._run_round()
            except ToolError as error:
                log_event("warning", str(error), controller="election")
            current = {lease for lease in self._leases if self._is_held(lease)}
            for lease in self._leases:
                self._metrics.leader_status.labels(lease).set(lease in current)
            for word, changed in (("acquired", current - previous), ("lost", previous - current)):
                for lease in sorted(changed):
                    log_event(
                        "info", f"lease {word}", controller="election", lease=lease, replica=self._settings.identity
                    )
            if current - previous:
                self._on_acquire()
            previous = current
            self._stop_event.wait(RETRY_PERIOD_SECONDS)

    def _run_round(self) -> None:
        """Renew the Leases this replica holds, and acquire free ones up to its quota."""
        quota = self._compute_quota()
        for lease in self._leases:
            if lease in self._renewed_at:
                self._try_acquire(lease)
        # Work on a surplus shard stops now; its Lease is released one interval later, when running reconciles are done.
        for lease in [name for name in self._leases if name in self._releasing]:
            self._release_lease(lease)
        held_leases = [lease for lease in self._leases if lease in self._renewed_at]
        self._releasing = set(held_leases[quota:])
        for lease in self._releasing:
            del self._renewed_at[lease]
        for lease in self._leases:
            if len(self._renewed_at) < quota and lease not in self._renewed_at and lease not in self._releasing:
                self._try_acquire(lease)

    def _compute_quota(self) -> int:
        """Return how many Leases one replica may hold: the shards divided by the live replicas, rounded up."""
        if len(self._leases) == 1:
            return 1
        self._try_acquire(self._build_replica_lease_name(), {REPLICA_LABEL: self._settings.name})
        live_replicas = 0
        for lease in self._cluster.list(LEASE_KIND, self._settings.namespace, f"{REPLICA_LABEL}={self._settings.name}"):
            name = lease["metadata"]["name"]
            silent_seconds = time.monotonic() - self._observe(name, lease).observed_at
            if silent_seconds > REPLICA_EXPIRY_SECONDS:
                self._cluster.delete(LEASE_KIND, self._settings.namespace, name, lease["metadata"]["uid"])
            live_replicas += silent_seconds < LEASE_SECONDS
        return math.ceil(len(self._leases) / max(1, live_replicas))

    def _build_replica_lease_name(self) -> str:
        return f"{self._settings.name}-replica-{self._settings.identity}".lower()

    def _observe(self, lease: str, existing: Object) -> ObservedLease:
        version = existing["metadata"]["resourceVersion"]
        observed = self._observed_leases.get(lease)
        if observed is None or observed.version != version:
            observed = self._observed_leases[lease] = ObservedLease(version, time.monotonic())
        return observed

    def _try_acquire(self, lease: str, labels: dict[str, str] | None = None) -> None:
        """Acquire or renew a Lease, if it is free, expired, or this replica's own."""
        started_at = time.monotonic()
        existing = self._cluster.get(LEASE_KIND, self._settings.namespace, lease)
        holder = get_field(existing, ("spec", "holderIdentity")) or ""
        if existing is not None and holder not in ("", self._settings.identity):
            duration = float(get_field(existing, ("spec", "leaseDurationSeconds")) or LEASE_SECONDS)
            self._renewed_at.pop(lease, None)
            if started_at - self._observe(lease, existing).observed_at < duration:
                return
        try:
            self._write_lease(lease, existing, holder, labels)
        except ApiStatusError as error:
            if error.code not in (CONFLICT, NOT_FOUND):
                raise
            # Another replica was faster.
            self._renewed_at.pop(lease, None)
            return
        if labels is None:
            self._renewed_at[lease] = started_at

    def _write_lease(self, lease: str, existing: Object | None, holder: str, labels: dict[str, str] | None) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = dict((existing or {}).get("spec") or {})
        if holder != self._settings.identity:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (1 if existing is not None else 0)
        spec |= {"holderIdentity": self._settings.identity, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now}
        if existing is None:
            metadata: dict[str, Any] = {
                "name": lease,
                "namespace": self._settings.namespace,
                "labels": labels or {},
                "annotations": self._build_annotations(),
            }
            kind = {"apiVersion": LEASE_KIND.api_version, "kind": "Lease"}
            self._cluster.create(LEASE_KIND, {**kind, "metadata": metadata, "spec": spec})
        else:
            metadata = dict(existing["metadata"])
            metadata["annotations"] = {**(metadata.get("annotations") or {}), **self._build_annotations()}
            self._cluster.replace(LEASE_KIND, {**existing, "metadata": metadata, "spec": spec})

    def _release_lease(self, lease: str) -> None:
        self._renewed_at.pop(lease, None)
        try:
            existing = self._cluster.get(LEASE_KIND, self._settings.namespace, lease)
            if existing is not None and get_field(existing, ("spec", "holderIdentity")) == self._settings.identity:
                self._cluster.replace(LEASE_KIND, {**existing, "spec": {**existing["spec"], "holderIdentity": ""}})
        except ToolError as error:
            log_event("warning", str(error), controller="election")

    def _delete_lease(self, lease: str) -> None:
        existing = self._cluster.get(LEASE_KIND, self._settings.namespace, lease)
        if existing is not None:
            self._cluster.delete(LEASE_KIND, self._settings.namespace, lease, existing["metadata"]["uid"])
