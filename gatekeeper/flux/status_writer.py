"""What is told of a Kustomization in the cluster: written into its status, and as events."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.model import ReconcileContext, ReconcileOutcome, ReconcileResult
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.errors import ToolError
from gatekeeper.flux import status as flux_status
from gatekeeper.flux import substitution
from gatekeeper.flux.model import PendingReconcile
from gatekeeper.flux.ownership import GROUP
from gatekeeper.kube import events as kube_events
from gatekeeper.kube.events import Event


def write_progress(context: ReconcileContext, pending: PendingReconcile) -> None:
    """Says in the cluster that a Kustomization is waited for."""
    if pending.live is None:
        return
    status = flux_status.build_progress_status(
        pending.live, pending.entries, context.revision, pending.checks, time.time()
    )
    kind = context.cluster.find_kind(pending.live["apiVersion"], "Kustomization")
    if kind is not None:
        context.cluster.patch_status(kind, pending.live, status)


def write_result(
    context: ReconcileContext,
    live: Object | None,
    result: ReconcileResult,
    entries: Sequence[InventoryEntry],
    started_at: float,
    is_healthy: bool | None = None,
) -> ReconcileResult:
    """Writes the status of a Kustomization that is in the cluster; what was applied is noted whatever came of it."""
    if result.build.secret_values:
        result = _mask_secrets(result)
    if live is None or not context.should_write:
        return result
    cluster, now = context.cluster, time.time()
    kind, events = cluster.find_kind(live["apiVersion"], "Kustomization"), cluster.find_kind("v1", "Event")
    moment = flux_status.ReconcileAttempt(context.revision, started_at, now, is_healthy)
    status = flux_status.build_status(live, result.outcome, entries, moment)
    told = flux_status.build_events(live, result.outcome, context.revision, result.changes, now)
    try:
        context.record_step("done", result)
        if kind is not None:
            cluster.patch_status(kind, live, status)
        if events is not None:
            for event in told:
                cluster.create(events, event)
    except ToolError as error:
        return result._replace(outcome=ReconcileOutcome(False, "StatusFailed", str(error)))
    return result


def write_refusal(cluster: DynamicClient, value: Object, outcome: ReconcileOutcome, revision: str) -> None:
    """Says in the cluster why a Kustomization is not applied; what it has applied stays noted.

    Raises:
        ToolError: the cluster does not take it.
    """
    kind, events = cluster.find_kind(value["apiVersion"], "Kustomization"), cluster.find_kind("v1", "Event")
    live = cluster.get(kind, value["metadata"]["namespace"], value["metadata"]["name"]) if kind else None
    if kind is None or live is None:
        return
    now = time.time()
    cluster.patch_status(kind, live, flux_status.build_refusal_status(live, outcome, revision, now))
    for event in flux_status.build_events(live, outcome, revision, (), now) if events else ():
        assert events is not None
        cluster.create(events, event)


def report_drift(cluster: DynamicClient, value: Object, message: str, revision: str) -> None:
    """Says in the cluster what somebody has changed, where that is not put right.

    Raises:
        ToolError: the cluster does not take it.
    """
    events = cluster.find_kind("v1", "Event")
    if events is not None:
        told_ = Event("Warning", "DriftDetected", message)
        cluster.create(events, kube_events.build_event(told_, value, time.time(), {f"{GROUP}/revision": revision}))


def _mask_secrets(result: ReconcileResult) -> ReconcileResult:
    """What is told, without what came out of Secrets; the cluster repeats values that it does not take."""
    hide = result.build.secret_values
    outcome = result.outcome._replace(message=substitution.mask_secrets(result.outcome.message, hide))
    changes = [one._replace(reason=substitution.mask_secrets(one.reason, hide)) for one in result.changes]
    return result._replace(outcome=outcome, changes=changes)
