"""One controller's running parts (reflectors, workers, drift watch), started and stopped together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

from gatekeeper.cluster.reflector import Reflector
from gatekeeper.controller.runtime.drift_watch import DriftWatch
from gatekeeper.controller.runtime.http_server import HttpRequest, HttpResponse
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.worker import Worker
from gatekeeper.model import NamespacedName, Object

SourceKey = TypeVar("SourceKey", bound=Hashable)


class Component:
    """The running parts of one controller.

    Args:
        workers: process the queues.
        reflectors: watch the cluster.
        enqueue_all: queues every object; called when this replica has acquired a Lease.
        drift_watch: watches applied objects; None if nothing is applied.
        on_stop: releases what the controller holds, after its workers have stopped.
    """

    def __init__(
        self,
        workers: Sequence[Worker[Any]],
        reflectors: Sequence[Reflector[Any]] = (),
        enqueue_all: Callable[[], None] = lambda: None,
        drift_watch: DriftWatch | None = None,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._workers, self._reflectors, self._drift_watch = workers, reflectors, drift_watch
        self._on_stop, self.enqueue_all = on_stop, enqueue_all

    def start(self) -> None:
        """Start watching and working."""
        for reflector in self._reflectors:
            reflector.start()
        for worker in self._workers:
            worker.start()

    @property
    def is_synced(self) -> bool:
        """Whether every reflector has listed its objects once."""
        return all(reflector.is_synced.is_set() for reflector in self._reflectors)

    @property
    def is_alive(self) -> bool:
        """Whether every worker thread runs."""
        return all(worker.is_alive for worker in self._workers)

    def stop(self, timeout_seconds: float) -> bool:
        """Stop watching and working.

        Returns:
            Whether the reconciles in progress finished in time.
        """
        for reflector in self._reflectors:
            reflector.stop()
        is_finished = [worker.stop(timeout_seconds) for worker in self._workers]
        if self._drift_watch is not None:
            self._drift_watch.stop()
        self._on_stop()
        return all(is_finished)


def enqueue_objects(reflector: Reflector[Any], worker: Worker[NamespacedName]) -> None:
    """Queue all objects of a kind."""
    for name, _ in reflector.list_objects():
        worker.add(name)


def answer_push(
    request: HttpRequest,
    find_sources: Callable[[HttpRequest], Iterable[SourceKey] | None],
    worker: Worker[SourceKey],
    refusal: str,
) -> HttpResponse:
    """Answer the call of a Git host after a push: the sources that it names are refreshed now.

    Args:
        find_sources: returns the sources that a call names; None if the call is not authentic.
        worker: refreshes the sources.
        refusal: the answer to a call that is not authentic.
    """
    if request.method != "POST":
        return HttpResponse(405, b"use POST\n")
    sources = find_sources(request)
    if sources is None:
        return HttpResponse(404, f"{refusal}\n".encode())
    for source in sources:
        worker.add(source)
    return HttpResponse(200, b"")


def report_watch_fault(metrics: Metrics, kind: str, reason: str) -> None:
    """Count and log that a watch of the cluster failed."""
    metrics.watch_faults.labels(kind).inc()
    log_event("warning", reason, controller="watch", kind=kind)


def strip_managed_fields(value: Object) -> Object:
    """Return an object without `managedFields`, which take much memory."""
    metadata = {key: field for key, field in value["metadata"].items() if key != "managedFields"}
    return {**value, "metadata": metadata}


def extract_trigger_fields(value: Object | None) -> object:
    """Return the fields whose change triggers a reconcile; a change of the status does not."""
    metadata = (value or {}).get("metadata") or {}
    names = ("uid", "generation", "deletionTimestamp", "annotations", "labels")
    return value is None, [metadata.get(name) for name in names]
