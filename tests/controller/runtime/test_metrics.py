"""Metrics: names that dashboards rely on, and their help texts."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest

from gatekeeper.controller.runtime.metrics import Metrics


@pytest.mark.parametrize(
    "name",
    [
        "controller_runtime_reconcile_total",
        "gotk_reconcile_duration_seconds",
        "workqueue_depth",
        "leader_election_master_status",
        "gatekeeper_watch_faults_total",
        "gatekeeper_verdicts_total",
        "gatekeeper_judging_seconds",
        "gatekeeper_drift_total",
        "gatekeeper_application_health_changes_total",
    ],
)
def test_metric_names_are_stable(name: str) -> None:
    assert f"# HELP {name} ".encode() in generate_latest(Metrics().registry)


def test_a_verdict_is_counted_and_timed() -> None:
    metrics = Metrics()
    metrics.observe_verdict("admission", "refused", 0.5)
    metrics.observe_verdict("admission", "refused", 1.5)
    read = metrics.registry.get_sample_value
    assert read("gatekeeper_verdicts_total", {"gate": "admission", "verdict": "refused"}) == 2
    assert read("gatekeeper_judging_seconds_sum", {"gate": "admission"}) == 2.0


def test_two_controllers_in_one_process_have_separate_metrics() -> None:
    first, second = Metrics(), Metrics()
    first.corrected_drift.labels("ConfigMap").inc()
    assert second.registry.get_sample_value("gatekeeper_drift_total", {"kind": "ConfigMap"}) is None
