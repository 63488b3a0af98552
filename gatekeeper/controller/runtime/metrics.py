"""Prometheus metrics of the controller; a metric that Flux or controller-runtime also has keeps their name.

Source: controller-runtime `pkg/internal/controller/metrics`, fluxcd/pkg `runtime/metrics`.
"""

from __future__ import annotations

from contextlib import nullcontext

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gatekeeper.controller.runtime.tracing import SpanFactory

RECONCILE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """Counters, gauges and histograms in a separate registry, and the tracer of reconciles.

    Args:
        start_span: opens a trace span for one reconcile, by controller and object; see `tracing`.
    """

    def __init__(self, start_span: SpanFactory = lambda controller, name: nullcontext()) -> None:
        self.start_span = start_span
        self.registry = CollectorRegistry()
        self.reconciles = self._counter(
            "controller_runtime_reconcile", "Reconciles, by controller and result.", "controller", "result"
        )
        self.reconcile_seconds = Histogram(
            "gotk_reconcile_duration_seconds",
            "Duration of a reconcile in seconds, by kind.",
            ("kind",),
            registry=self.registry,
            buckets=RECONCILE_BUCKETS,
        )
        self.queue_depth = Gauge(
            "workqueue_depth", "Objects in the queue that are due now.", ("name",), registry=self.registry
        )
        self.leader_status = Gauge(
            "leader_election_master_status",
            "1 if this replica holds the Lease, else 0.",
            ("name",),
            registry=self.registry,
        )
        self.watch_faults = self._counter("gatekeeper_watch_faults", "Failed watches of the cluster, by kind.", "kind")
        self.verdicts = self._counter(
            "gatekeeper_verdicts", "Verdicts of the gate, by gate and verdict.", "gate", "verdict"
        )
        self.verdict_seconds = Histogram(
            "gatekeeper_judging_seconds",
            "Duration of one verdict in seconds, by gate.",
            ("gate",),
            registry=self.registry,
        )
        self.corrected_drift = self._counter(
            "gatekeeper_drift", "Objects changed outside Git that were corrected, by kind.", "kind"
        )
        self.health_changes = self._counter(
            "gatekeeper_application_health_changes", "Application health transitions, by new status.", "health"
        )

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self.registry)

    def observe_verdict(self, gate: str, decision: str, seconds: float) -> None:
        """Count a verdict and observe how long it took.

        Args:
            gate: where it was made: `reconcile` or `admission`.
        """
        self.verdict_seconds.labels(gate).observe(seconds)
        self.verdicts.labels(gate, decision).inc()
