"""Which replica does what: one Lease for each share of the work, held by one replica at a time.

Source: client-go `tools/leaderelection`: 15 seconds of a lease, 10 in which it must be renewed, every 2 a try. The
clock of nobody else counts: a Lease is over when it was not seen to change for as long as it says.
"""

from __future__ import annotations

import math
import threading
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from gatekeeper.cluster.dynamic_client import CONFLICT, NOT_FOUND, ApiStatusError, DynamicClient, Kind, Object
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.errors import ToolError
from gatekeeper.model import get_field

LEASE_KIND = Kind("coordination.k8s.io/v1", "leases", True)
LEASE_SECONDS, RENEW_DEADLINE_SECONDS, RETRY_PERIOD_SECONDS = 15, 10.0, 2.0
REPLICA_LABEL = "gatekeeper-gitops.io/replica-of"
# A replica that was not heard of for so long is gone for good.
REPLICA_EXPIRY_SECONDS = 120.0


class ObservedLease(NamedTuple):
    """A Lease as it was last seen to change: its version, and when that was by our own clock."""

    version: str
    observed_at: float


class LeaderElection:
    """The shares that this replica has.

    Args:
        name: of the Leases; with several shares a number comes after it.
        identity: of this replica.
        acquired: is called when a share has come to it.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        namespace: str,
        lease_name: str,
        identity: str,
        shard_count: int,
        metrics: Metrics,
        on_acquire: Callable[[], None],
    ) -> None:
        self._cluster, self._namespace, self._lease_name, self._identity = cluster, namespace, lease_name, identity
        self._leases = [lease_name if shard_count == 1 else f"{lease_name}-{number}" for number in range(shard_count)]
        self._on_acquire, self._metrics = on_acquire, metrics
        self._renewed_at: dict[str, float] = {}
        self._observed_leases: dict[str, ObservedLease] = {}
        self._releasing: set[str] = set()
        self._stop_event = threading.Event()
        self._thread = threading.Thread(target=self._run, name="election", daemon=True)
        # What is written beside, as annotations of what it holds.
        self.build_annotations: Callable[[], dict[str, str]] = dict

    def start(self) -> None:
        """Begins to ask for shares."""
        self._thread.start()

    def is_responsible_for(self, key: str) -> bool:
        """Whether the share that a key falls into is this replica's, and surely still is."""
        return self._is_held(self._leases[zlib.crc32(key.encode()) % len(self._leases)])

    @property
    def is_leader(self) -> bool:
        """Whether it has any share."""
        return any(map(self._is_held, self._leases))

    def _is_held(self, lease: str) -> bool:
        renewed = self._renewed_at.get(lease)
        return renewed is not None and time.monotonic() - renewed < RENEW_DEADLINE_SECONDS

    def stop(self) -> None:
        """Gives all shares back, so that nobody has to wait until they are over."""
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
        before: set[str] = set()
        while not self._stop_event.is_set():
            try:
                self._run_round()
            except ToolError as error:
                log_event("warning", str(error), controller="election")
            now = {lease for lease in self._leases if self._is_held(lease)}
            for lease in self._leases:
                self._metrics.leader_status.labels(lease).set(lease in now)
            for word, changed in (("acquired", now - before), ("lost", before - now)):
                for lease in sorted(changed):
                    log_event("info", f"share {word}", controller="election", lease=lease, replica=self._identity)
            if now - before:
                self._on_acquire()
            before = now
            self._stop_event.wait(RETRY_PERIOD_SECONDS)

    def _run_round(self) -> None:
        """Renews what it has, and takes what is free, as far as that is its due."""
        most = self._compute_quota()
        for lease in self._leases:
            if lease in self._renewed_at:
                self._try_acquire(lease)
        # What is too much is not worked on from now, and is given back a turn later, when that has come to its end.
        for lease in [one for one in self._leases if one in self._releasing]:
            self._release_lease(lease)
        held = [lease for lease in self._leases if lease in self._renewed_at]
        self._releasing = set(held[most:])
        for lease in self._releasing:
            del self._renewed_at[lease]
        for lease in self._leases:
            if len(self._renewed_at) < most and lease not in self._renewed_at and lease not in self._releasing:
                self._try_acquire(lease)

    def _compute_quota(self) -> int:
        """How many shares each replica has: with one share it is that."""
        if len(self._leases) == 1:
            return 1
        self._try_acquire(self._build_replica_lease_name(), {REPLICA_LABEL: self._lease_name})
        alive = 0
        for one in self._cluster.list(LEASE_KIND, self._namespace, f"{REPLICA_LABEL}={self._lease_name}"):
            name = one["metadata"]["name"]
            silent = time.monotonic() - self._observe(name, one).observed_at
            if silent > REPLICA_EXPIRY_SECONDS:
                self._cluster.delete(LEASE_KIND, self._namespace, name, one["metadata"]["uid"])
            alive += silent < LEASE_SECONDS
        return math.ceil(len(self._leases) / max(1, alive))

    def _build_replica_lease_name(self) -> str:
        return f"{self._lease_name}-replica-{self._identity}".lower()

    def _observe(self, lease: str, existing: Object) -> ObservedLease:
        version = existing["metadata"]["resourceVersion"]
        seen = self._observed_leases.get(lease)
        if seen is None or seen.version != version:
            seen = self._observed_leases[lease] = ObservedLease(version, time.monotonic())
        return seen

    def _try_acquire(self, lease: str, labels: dict[str, str] | None = None) -> None:
        """Takes or renews a Lease, if it is free or its own."""
        began = time.monotonic()
        held = self._cluster.get(LEASE_KIND, self._namespace, lease)
        holder = get_field(held, ("spec", "holderIdentity")) or ""
        if held is not None and holder not in ("", self._identity):
            lasts = float(get_field(held, ("spec", "leaseDurationSeconds")) or LEASE_SECONDS)
            self._renewed_at.pop(lease, None)
            if began - self._observe(lease, held).observed_at < lasts:
                return
        try:
            self._write_lease(lease, held, holder, labels)
        except ApiStatusError as error:
            if error.code not in (CONFLICT, NOT_FOUND):
                raise
            # Another was faster.
            self._renewed_at.pop(lease, None)
            return
        if labels is None:
            self._renewed_at[lease] = began

    def _write_lease(self, lease: str, existing: Object | None, holder: str, labels: dict[str, str] | None) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = dict((existing or {}).get("spec") or {})
        if holder != self._identity:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (1 if existing is not None else 0)
        spec |= {"holderIdentity": self._identity, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now}
        if existing is None:
            metadata: dict[str, Any] = {
                "name": lease,
                "namespace": self._namespace,
                "labels": labels or {},
                "annotations": self.build_annotations(),
            }
            kind = {"apiVersion": LEASE_KIND.api_version, "kind": "Lease"}
            self._cluster.create(LEASE_KIND, {**kind, "metadata": metadata, "spec": spec})
        else:
            metadata = dict(existing["metadata"])
            metadata["annotations"] = {**(metadata.get("annotations") or {}), **self.build_annotations()}
            self._cluster.replace(LEASE_KIND, {**existing, "metadata": metadata, "spec": spec})

    def _release_lease(self, lease: str) -> None:
        self._renewed_at.pop(lease, None)
        try:
            held = self._cluster.get(LEASE_KIND, self._namespace, lease)
            if held is not None and get_field(held, ("spec", "holderIdentity")) == self._identity:
                self._cluster.replace(LEASE_KIND, {**held, "spec": {**held["spec"], "holderIdentity": ""}})
        except ToolError as error:
            log_event("warning", str(error), controller="election")

    def _delete_lease(self, lease: str) -> None:
        held = self._cluster.get(LEASE_KIND, self._namespace, lease)
        if held is not None:
            self._cluster.delete(LEASE_KIND, self._namespace, lease, held["metadata"]["uid"])
