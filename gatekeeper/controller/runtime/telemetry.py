"""What a controller says of itself while it runs: lines of JSON, and figures that Prometheus reads."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import nullcontext

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gatekeeper.controller.runtime.tracing import SpanFactory
from gatekeeper.kube import conditions

_stdout_lock = threading.Lock()


def log_event(level: str, message: str, **fields: object) -> None:
    """Writes a line: `level` is `info`, `warning` or `error`; no field may hold what is secret."""
    line = {"time": conditions.format_time(time.time()), "level": level, "message": message, **fields}
    with _stdout_lock:
        sys.stdout.write(orjson.dumps(line, default=str).decode() + "\n")
        sys.stdout.flush()


class Metrics:
    """Counts and durations. Where Flux or controller-runtime has a name for something, it is that name.

    Args:
        start_span: traces a piece of work, by its controller and object; see `tracing`.
    """

    def __init__(self, start_span: SpanFactory = lambda controller, name: nullcontext()) -> None:
        self.start_span = start_span
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "controller_runtime_reconcile",
            "Objects that were worked on.",
            ("controller", "result"),
            registry=self.registry,
        )
        self.reconcile_seconds = Histogram(
            "gotk_reconcile_duration_seconds",
            "How long one took.",
            ("kind",),
            registry=self.registry,
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
        )
        self.queue_depth = Gauge("workqueue_depth", "Objects that are due.", ("name",), registry=self.registry)
        self.leader_status = Gauge(
            "leader_election_master_status", "Whether a share is this replica's.", ("name",), registry=self.registry
        )
        self.watch_faults = Counter(
            "gatekeeper_watch_faults", "Times that the cluster could not be watched.", ("kind",), registry=self.registry
        )
        self.verdicts = Counter("gatekeeper_verdicts", "Verdicts.", ("gate", "verdict"), registry=self.registry)
        self.verdict_seconds = Histogram(
            "gatekeeper_judging_seconds", "How long a verdict took.", ("gate",), registry=self.registry
        )
        self.corrected_drift = Counter(
            "gatekeeper_drift", "Objects that somebody else had changed.", ("kind",), registry=self.registry
        )
        self.health_changes = Counter(
            "gatekeeper_application_health_changes",
            "Times that Applications came to be so well.",
            ("health",),
            registry=self.registry,
        )
