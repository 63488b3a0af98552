"""What a controller says of itself while it runs: lines of JSON, and figures that Prometheus reads."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import nullcontext

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gatekeeper.controller.runtime.tracing import Span
from gatekeeper.kube import conditions

_writing = threading.Lock()


def say(level: str, message: str, **fields: object) -> None:
    """Writes a line: `level` is `info`, `warning` or `error`; no field may hold what is secret."""
    line = {"time": conditions.time_of(time.time()), "level": level, "message": message, **fields}
    with _writing:
        sys.stdout.write(orjson.dumps(line, default=str).decode() + "\n")
        sys.stdout.flush()


class Figures:
    """Counts and durations. Where Flux or controller-runtime has a name for something, it is that name.

    Args:
        span: traces a piece of work, by its controller and object; see `tracing`.
    """

    def __init__(self, span: Span = lambda controller, name: nullcontext()) -> None:
        self.span = span
        self.registry = CollectorRegistry()
        self.reconciled = Counter(
            "controller_runtime_reconcile",
            "Objects that were worked on.",
            ("controller", "result"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "gotk_reconcile_duration_seconds",
            "How long one took.",
            ("kind",),
            registry=self.registry,
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
        )
        self.depth = Gauge("workqueue_depth", "Objects that are due.", ("name",), registry=self.registry)
        self.leads = Gauge(
            "leader_election_master_status", "Whether a share is this replica's.", ("name",), registry=self.registry
        )
        self.lost = Counter(
            "gatekeeper_watch_faults", "Times that the cluster could not be watched.", ("kind",), registry=self.registry
        )
        self.judged = Counter("gatekeeper_verdicts", "Verdicts.", ("gate", "verdict"), registry=self.registry)
        self.judging = Histogram(
            "gatekeeper_judging_seconds", "How long a verdict took.", ("gate",), registry=self.registry
        )
        self.drift = Counter(
            "gatekeeper_drift", "Objects that somebody else had changed.", ("kind",), registry=self.registry
        )
        self.health = Counter(
            "gatekeeper_application_health_changes",
            "Times that Applications came to be so well.",
            ("health",),
            registry=self.registry,
        )
