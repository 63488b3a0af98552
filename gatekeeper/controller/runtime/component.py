"""Watches and loops that begin and end together: what each part of the controller is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatekeeper.cluster.reflector import Reflector
from gatekeeper.controller.runtime.drift_watch import DriftWatch
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.worker import Worker


class Component:
    """Watches and loops.

    Args:
        watches: what is seen.
        loops: what works.
        owned: what was applied; None where nothing is.
    """

    def __init__(
        self,
        reflectors: Sequence[Reflector[Any]],
        workers: Sequence[Worker[Any]],
        metrics: Metrics,
        drift_watch: DriftWatch | None = None,
    ) -> None:
        self._all_reflectors, self._all_workers, self._metrics, self._drift_watch = (
            reflectors,
            workers,
            metrics,
            drift_watch,
        )

    def start(self) -> None:
        """Begins to watch and to work."""
        for watch in self._all_reflectors:
            watch.start()
        for loop in self._all_workers:
            loop.start()

    @property
    def is_synced(self) -> bool:
        """Whether all that there is was seen once."""
        return all(watch.is_synced.is_set() for watch in self._all_reflectors)

    @property
    def is_alive(self) -> bool:
        """Whether all that works is there."""
        return all(loop.is_alive for loop in self._all_workers)

    def stop(self, timeout_seconds: float) -> bool:
        """Ends; whether what was worked on came to its end in time."""
        for watch in self._all_reflectors:
            watch.stop()
        ends = [loop.stop(timeout_seconds) for loop in self._all_workers]
        if self._drift_watch is not None:
            self._drift_watch.stop()
        return all(ends)


def report_watch_fault(metrics: Metrics, kind: str, reason: str) -> None:
    """Says that the cluster could not be watched."""
    metrics.watch_faults.labels(kind).inc()
    log_event("warning", reason, controller="watch", kind=kind)
