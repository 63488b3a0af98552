"""Writes the status and the events of a Kustomization into the cluster."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.model import ReconcileContext, ReconcileOutcome, ReconcileResult
from gatekeeper.cluster import object_status
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import ToolError
from gatekeeper.flux import dependencies, post_build_values, status
from gatekeeper.flux.model import Waiting
from gatekeeper.flux.ownership import GROUP
from gatekeeper.flux.status import ReconcileAttempt
from gatekeeper.kube.events import Event
from gatekeeper.model import Object, name_of


def write_progress(context: ReconcileContext, waiting: Waiting) -> None:
    """Writes that a Kustomization waits for the health of its objects.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    if waiting.live is None:
        return
    progress = status.build_progress_status(
        waiting.live, waiting.entries, context.revision, len(waiting.checks), time.time()
    )
    object_status.write_status(context.cluster, waiting.live, progress)


def write_result(
    context: ReconcileContext,
    live: Object | None,
    result: ReconcileResult,
    entries: Sequence[InventoryEntry],
    started_at: float,
    *,
    is_healthy: bool | None = None,
) -> ReconcileResult:
    """Writes the result of a reconcile; returns it with masked secrets, or with the error of writing it.

    Nothing is written in a dry run, or where the Kustomization is not in the cluster.

    Args:
        live: the Kustomization as it was read.
        entries: the inventory now, which is written with any outcome.
        started_at: seconds since 1970.
        is_healthy: see `ReconcileAttempt`.
    """
    result = mask_result(result)
    if live is None or not context.should_write:
        return result
    now = time.time()
    attempt = ReconcileAttempt(context.revision, started_at, now, is_healthy)
    try:
        context.record_step("done", result)
        object_status.write_status(context.cluster, live, status.build_status(live, result.outcome, entries, attempt))
        events = status.list_events(live, result.outcome, context.revision, result.changes)
        object_status.create_events(context.cluster, live, events, now, _annotate_revision(context.revision))
    except ToolError as error:
        return result._replace(outcome=ReconcileOutcome.failed("StatusFailed", str(error)))
    return result


def write_refusal(cluster: DynamicClient, value: Object, outcome: ReconcileOutcome, revision: str) -> None:
    """Writes why a Kustomization is not applied; its inventory stays as it is.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    live = dependencies.get_kustomization(cluster, name_of(value))
    if live is None:
        return
    now = time.time()
    object_status.write_status(cluster, live, status.build_refusal_status(live, outcome, revision, now))
    events = status.list_events(live, outcome, revision, ())
    object_status.create_events(cluster, live, events, now, _annotate_revision(revision))


def report_drift(cluster: DynamicClient, value: Object, message: str, revision: str) -> None:
    """Creates an event about drift that is reported and not corrected.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    event = Event("Warning", "DriftDetected", message)
    object_status.create_events(cluster, value, [event], time.time(), _annotate_revision(revision))


def _annotate_revision(revision: str) -> dict[str, str]:
    return {f"{GROUP}/revision": revision}


def mask_result(result: ReconcileResult) -> ReconcileResult:
    """The result with masked secret values: the API server repeats values that it rejects."""
    secret_values = result.build.secret_values
    if not secret_values:
        return result
    outcome = result.outcome._replace(message=post_build_values.mask_secrets(result.outcome.message, secret_values))
    changes = [
        change._replace(reason=post_build_values.mask_secrets(change.reason, secret_values))
        for change in result.changes
    ]
    return result._replace(outcome=outcome, changes=changes)
