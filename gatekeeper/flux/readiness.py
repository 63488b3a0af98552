"""Waiting until what was applied is as it shall be: no longer than it may take, and not where it will not get there."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from gatekeeper.apply import kstatus
from gatekeeper.apply.inventory import entry_of
from gatekeeper.apply.server_side_apply import ObjectChange
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import ToolError
from gatekeeper.flux import health_expressions
from gatekeeper.flux.kustomization_spec import HealthCheck, KustomizationSpec, attach_rule
from gatekeeper.host.backoff import BackoffPolicy

POLLING = BackoffPolicy(0.1, 2.0, factor=1.5)


def select_checks(spec: KustomizationSpec, changes: Sequence[ObjectChange]) -> list[HealthCheck]:
    """What must be there: all that was applied, or what is named."""
    if not spec.should_wait_for_all:
        return list(spec.health_checks)
    entries = [entry_of(change.value) for change in changes if change.action != "skip"]
    checks = (HealthCheck(entry.api_version, entry.kind, entry.namespace, entry.name) for entry in entries)
    return [attach_rule(check, spec.health_rules) for check in checks]


def wait_until_ready(
    cluster: DynamicClient, checks: Sequence[HealthCheck], timeout_seconds: float, stop_event: threading.Event
) -> str:
    """Why not all is there, once that is sure, the time is over, or it is told to stop; empty where all is."""
    end, left, attempt = time.monotonic() + timeout_seconds, list(checks), 0
    while True:
        attempt += 1
        look = check_readiness(cluster, left)
        if look.failure or not look.pending:
            return look.failure
        left = look.pending
        pause = POLLING.compute_pause(attempt)
        if time.monotonic() + pause > end:
            return format_timeout(look, timeout_seconds)
        if stop_event.wait(pause):
            return "nobody waits any more until all is there: it was told to stop"


class ReadinessReport(NamedTuple):
    """What a look at what is waited for found.

    Attributes:
        failure: why some will not get there; empty where all may.
        pending: what is not there yet; and
        reasons: why.
    """

    failure: str
    pending: list[HealthCheck]
    reasons: str


def check_readiness(cluster: DynamicClient, checks: Sequence[HealthCheck]) -> ReadinessReport:
    """Looks at all that is waited for, once."""
    states = [(check, _compute_status(cluster, check)) for check in checks]
    failed = "; ".join(f"{_format_check(check)}: {state.reason}" for check, state in states if state.status == "Failed")
    late = [(check, state) for check, state in states if state.status != "Current"]
    return ReadinessReport(
        failed,
        [check for check, _ in late],
        "; ".join(f"{_format_check(check)}: {state.reason}" for check, state in late),
    )


def format_timeout(report: ReadinessReport, timeout_seconds: float) -> str:
    """Why not all is there, when time is over."""
    return f"not ready after {timeout_seconds:g} seconds: {report.reasons}"


def _compute_status(cluster: DynamicClient, check: HealthCheck) -> kstatus.KStatusResult:
    try:
        kind = cluster.find_kind(check.api_version, check.kind)
        found = cluster.get(kind, check.namespace, check.name) if kind else None
    except ToolError as error:
        return kstatus.KStatusResult("InProgress", str(error))
    if found is None:
        return kstatus.KStatusResult("InProgress", "it is not there")
    if check.rule is not None:
        return health_expressions.evaluate_health(found, check.rule)
    return kstatus.compute_status(found, datetime.datetime.now(datetime.UTC))


def _format_check(check: HealthCheck) -> str:
    return f"{check.kind} {f'{check.namespace}/' if check.namespace else ''}{check.name}"
