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

from gatekeeper.cluster.dynamic_client import CONFLICT, NOT_FOUND, Kind, Object, Objects, Refusal
from gatekeeper.controller.runtime.telemetry import Figures, say
from gatekeeper.errors import ToolError
from gatekeeper.model import at

LEASE = Kind("coordination.k8s.io/v1", "leases", True)
DURATION, DEADLINE, PERIOD = 15, 10.0, 2.0
MEMBER = "gatekeeper-gitops.io/replica-of"
# A replica that was not heard of for so long is gone for good.
FORGOTTEN = 120.0


class Seen(NamedTuple):
    """A Lease as it was last seen to change: its version, and when that was by our own clock."""

    version: str
    at: float


class Election:
    """The shares that this replica has.

    Args:
        name: of the Leases; with several shares a number comes after it.
        identity: of this replica.
        acquired: is called when a share has come to it.
    """

    def __init__(
        self,
        cluster: Objects,
        namespace: str,
        name: str,
        identity: str,
        shares: int,
        figures: Figures,
        acquired: Callable[[], None],
    ) -> None:
        self._cluster, self._namespace, self._name, self._identity = cluster, namespace, name, identity
        self._leases = [name if shares == 1 else f"{name}-{number}" for number in range(shares)]
        self._acquired, self._figures = acquired, figures
        self._renewed: dict[str, float] = {}
        self._seen: dict[str, Seen] = {}
        self._leaving: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="election", daemon=True)
        # What is written beside, as annotations of what it holds.
        self.marks: Callable[[], dict[str, str]] = dict

    def start(self) -> None:
        """Begins to ask for shares."""
        self._thread.start()

    def holds(self, key: str) -> bool:
        """Whether the share that a key falls into is this replica's, and surely still is."""
        return self._is_held(self._leases[zlib.crc32(key.encode()) % len(self._leases)])

    @property
    def leads(self) -> bool:
        """Whether it has any share."""
        return any(map(self._is_held, self._leases))

    def _is_held(self, lease: str) -> bool:
        renewed = self._renewed.get(lease)
        return renewed is not None and time.monotonic() - renewed < DEADLINE

    def stop(self) -> None:
        """Gives all shares back, so that nobody has to wait until they are over."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(DEADLINE)
        for lease in [*self._renewed]:
            self._release(lease)
        if len(self._leases) > 1:
            try:
                self._give(self._member())
            except ToolError as error:
                say("warning", str(error), controller="election")

    def _run(self) -> None:
        before: set[str] = set()
        while not self._stop.is_set():
            try:
                self._turn()
            except ToolError as error:
                say("warning", str(error), controller="election")
            now = {lease for lease in self._leases if self._is_held(lease)}
            for lease in self._leases:
                self._figures.leads.labels(lease).set(lease in now)
            for word, changed in (("acquired", now - before), ("lost", before - now)):
                for lease in sorted(changed):
                    say("info", f"share {word}", controller="election", lease=lease, replica=self._identity)
            if now - before:
                self._acquired()
            before = now
            self._stop.wait(PERIOD)

    def _turn(self) -> None:
        """Renews what it has, and takes what is free, as far as that is its due."""
        most = self._due()
        for lease in self._leases:
            if lease in self._renewed:
                self._try(lease)
        # What is too much is not worked on from now, and is given back a turn later, when that has come to its end.
        for lease in [one for one in self._leases if one in self._leaving]:
            self._release(lease)
        held = [lease for lease in self._leases if lease in self._renewed]
        self._leaving = set(held[most:])
        for lease in self._leaving:
            del self._renewed[lease]
        for lease in self._leases:
            if len(self._renewed) < most and lease not in self._renewed and lease not in self._leaving:
                self._try(lease)

    def _due(self) -> int:
        """How many shares each replica has: with one share it is that."""
        if len(self._leases) == 1:
            return 1
        self._try(self._member(), {MEMBER: self._name})
        alive = 0
        for one in self._cluster.list(LEASE, self._namespace, f"{MEMBER}={self._name}"):
            name = one["metadata"]["name"]
            silent = time.monotonic() - self._look(name, one).at
            if silent > FORGOTTEN:
                self._cluster.delete(LEASE, self._namespace, name, one["metadata"]["uid"])
            alive += silent < DURATION
        return math.ceil(len(self._leases) / max(1, alive))

    def _member(self) -> str:
        return f"{self._name}-replica-{self._identity}".lower()

    def _look(self, lease: str, held: Object) -> Seen:
        version = held["metadata"]["resourceVersion"]
        seen = self._seen.get(lease)
        if seen is None or seen.version != version:
            seen = self._seen[lease] = Seen(version, time.monotonic())
        return seen

    def _try(self, lease: str, labels: dict[str, str] | None = None) -> None:
        """Takes or renews a Lease, if it is free or its own."""
        began = time.monotonic()
        held = self._cluster.get(LEASE, self._namespace, lease)
        holder = at(held, ("spec", "holderIdentity")) or ""
        if held is not None and holder not in ("", self._identity):
            lasts = float(at(held, ("spec", "leaseDurationSeconds")) or DURATION)
            self._renewed.pop(lease, None)
            if began - self._look(lease, held).at < lasts:
                return
        try:
            self._write(lease, held, holder, labels)
        except Refusal as error:
            if error.code not in (CONFLICT, NOT_FOUND):
                raise
            # Another was faster.
            self._renewed.pop(lease, None)
            return
        if labels is None:
            self._renewed[lease] = began

    def _write(self, lease: str, held: Object | None, holder: str, labels: dict[str, str] | None) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = dict((held or {}).get("spec") or {})
        if holder != self._identity:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (1 if held is not None else 0)
        spec |= {"holderIdentity": self._identity, "leaseDurationSeconds": DURATION, "renewTime": now}
        if held is None:
            metadata: dict[str, Any] = {
                "name": lease,
                "namespace": self._namespace,
                "labels": labels or {},
                "annotations": self.marks(),
            }
            kind = {"apiVersion": LEASE.api_version, "kind": "Lease"}
            self._cluster.create(LEASE, {**kind, "metadata": metadata, "spec": spec})
        else:
            metadata = dict(held["metadata"])
            metadata["annotations"] = {**(metadata.get("annotations") or {}), **self.marks()}
            self._cluster.replace(LEASE, {**held, "metadata": metadata, "spec": spec})

    def _release(self, lease: str) -> None:
        self._renewed.pop(lease, None)
        try:
            held = self._cluster.get(LEASE, self._namespace, lease)
            if held is not None and at(held, ("spec", "holderIdentity")) == self._identity:
                self._cluster.replace(LEASE, {**held, "spec": {**held["spec"], "holderIdentity": ""}})
        except ToolError as error:
            say("warning", str(error), controller="election")

    def _give(self, lease: str) -> None:
        held = self._cluster.get(LEASE, self._namespace, lease)
        if held is not None:
            self._cluster.delete(LEASE, self._namespace, lease, held["metadata"]["uid"])
