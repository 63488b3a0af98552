"""Waits until applied objects are healthy, no longer than the timeout, and not for objects that have failed.

Source: kustomize-controller `internal/controller/kustomization_controller.go` (`checkHealth`).
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Sequence

from gatekeeper.apply import kstatus
from gatekeeper.apply.changes import ObjectChange
from gatekeeper.apply.inventory import entry_of
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import ToolError
from gatekeeper.flux import health_expressions
from gatekeeper.flux.kustomization_spec import HealthCheck, KustomizationSpec, attach_rule
from gatekeeper.host.backoff import BackoffPolicy
from gatekeeper.named_tuple import NamedTuple

# The pauses between two looks.
POLLING = BackoffPolicy(0.1, 2.0, factor=1.5)


def select_checks(spec: KustomizationSpec, changes: Sequence[ObjectChange]) -> list[HealthCheck]:
    """The objects that must become healthy: all applied ones with `wait`, otherwise those in `healthChecks`."""
    if not spec.should_wait_for_all:
        return list(spec.health_checks)
    entries = [entry_of(change.value) for change in changes if change.action != "skip"]
    checks = (HealthCheck(entry.api_version, entry.kind, entry.namespace, entry.name) for entry in entries)
    return [attach_rule(check, spec.health_rules) for check in checks]


def wait_until_ready(
    cluster: DynamicClient, checks: Sequence[HealthCheck], timeout_seconds: float, stop_event: threading.Event
) -> str:
    """Waits for all objects; why some are not healthy, or empty once all are."""
    deadline, pending, looks = time.monotonic() + timeout_seconds, list(checks), 0
    while True:
        report = check_readiness(cluster, pending)
        if report.failure or not report.pending:
            return report.failure
        pending, looks = report.pending, looks + 1
        pause = POLLING.compute_pause(looks)
        if time.monotonic() + pause > deadline:
            return format_timeout(report, timeout_seconds)
        if stop_event.wait(pause):
            return "stopped before all objects were ready"


class ReadinessReport(NamedTuple):
    """The health of the objects at one time.

    Attributes:
        failure: which objects failed, and why; empty if none did.
        pending: the objects that are not healthy yet.
        reasons: why they are not.
    """

    failure: str
    pending: list[HealthCheck]
    reasons: str


def check_readiness(cluster: DynamicClient, checks: Sequence[HealthCheck]) -> ReadinessReport:
    """Looks at each object once."""
    statuses = [(check, _compute_status(cluster, check)) for check in checks]
    failed = [(check, status) for check, status in statuses if status.status == "Failed"]
    pending = [(check, status) for check, status in statuses if status.status != "Current"]
    return ReadinessReport(_format_statuses(failed), [check for check, _ in pending], _format_statuses(pending))


def format_timeout(report: ReadinessReport, timeout_seconds: float) -> str:
    """Why not all objects are healthy after the timeout."""
    return f"not ready after {timeout_seconds:g} seconds: {report.reasons}"


def _compute_status(cluster: DynamicClient, check: HealthCheck) -> kstatus.KStatusResult:
    try:
        kind = cluster.find_kind(check.api_version, check.kind)
        value = cluster.get(kind, check.namespace, check.name) if kind else None
    except ToolError as error:
        return kstatus.KStatusResult("InProgress", str(error))
    if value is None:
        return kstatus.KStatusResult("InProgress", "not found")
    if check.rule is not None:
        return health_expressions.evaluate_health(value, check.rule)
    return kstatus.compute_status(value, datetime.datetime.now(datetime.UTC))


def _format_statuses(statuses: Sequence[tuple[HealthCheck, kstatus.KStatusResult]]) -> str:
    return "; ".join(f"{check}: {status.reason}" for check, status in statuses)
