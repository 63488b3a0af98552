"""Audit events and Kubernetes Events about an Application."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gatekeeper.apply.changes import ObjectChange
from gatekeeper.apply.model import ApplySet, AuditEvent, AuditStep, ReconcileOutcome, ReconcileResult
from gatekeeper.apply.prune import PruneResult
from gatekeeper.argocd.plan import to_apply_set
from gatekeeper.cluster.object_status import create_events
from gatekeeper.controller.argocd.context import ApplicationContext, ArgoEnvironment
from gatekeeper.flux.status import describe_drift
from gatekeeper.kube.events import Event
from gatekeeper.model import Object


def record_planned(
    context: ApplicationContext,
    changes: Sequence[ObjectChange],
    pruned: Sequence[PruneResult] = (),
    outcome: ReconcileOutcome | None = None,
) -> None:
    """Record what is done next, before it is done.

    Args:
        outcome: the reason and message of the audit entry; those of a sync by default.

    Raises:
        ToolError: it cannot be recorded.
    """
    outcome = outcome or ReconcileOutcome(False, "Pruning" if pruned else "Syncing", context.revision)
    result = ReconcileResult(to_apply_set(context.build), outcome, changes, pruned)
    step: AuditStep = "delete" if pruned else "apply"
    context.environment.record(AuditEvent(step, result, context.revision, context.verdict, context.approved_revision))


def record_outcome(context: ApplicationContext, outcome: ReconcileOutcome, changes: Sequence[ObjectChange]) -> None:
    """Record how a sync ended.

    Raises:
        ToolError: it cannot be recorded.
    """
    result = ReconcileResult(to_apply_set(context.build), outcome, changes)
    context.environment.record(AuditEvent("done", result, context.revision, context.verdict, context.approved_revision))


def record_deletion(environment: ArgoEnvironment, application: Object, pruned: Sequence[PruneResult]) -> None:
    """Record which objects will be deleted with an Application, before they are.

    Raises:
        ToolError: it cannot be recorded.
    """
    result = ReconcileResult(ApplySet(application, "", ()), build_deletion_outcome(application), (), pruned)
    environment.record(AuditEvent("delete", result))


def build_deletion_outcome(application: Object) -> ReconcileOutcome:
    """Return the reason and message of changes that are made because an Application is deleted."""
    return ReconcileOutcome(False, "Pruning", f"the Application {application['metadata']['name']} is being deleted")


def emit_event(context: ApplicationContext, event: Event) -> None:
    """Create a Kubernetes Event about an Application.

    Raises:
        ToolError: the cluster does not answer, or refuses it.
    """
    create_events(context.environment.cluster, context.manifest, [event], time.time())


def report_drift(context: ApplicationContext, changes: Sequence[ObjectChange]) -> None:
    """Count corrected objects, and report by an Event who had changed which fields.

    Raises:
        ToolError: the cluster does not answer, or refuses the Event.
    """
    for change in changes:
        context.environment.metrics.corrected_drift.labels(change.value["kind"]).inc()
    lines = describe_drift(changes)
    if lines:
        emit_event(context, Event("Warning", "DriftCorrected", "; ".join(lines)))
