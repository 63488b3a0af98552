"""What is recorded and reported about an Application, and in which order."""

from __future__ import annotations

import pytest

from gatekeeper.apply.changes import ObjectChange
from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.model import AuditEvent, ReconcileOutcome
from gatekeeper.apply.prune import PruneResult
from gatekeeper.controller.argocd import application_events
from gatekeeper.controller.argocd.context import ApplicationContext
from gatekeeper.errors import ToolError
from gatekeeper.kube.events import Event
from tests.argocd.conftest import ArgoCluster
from tests.controller.argocd.environment import (
    COMMIT,
    application,
    build_context,
    build_environment,
    config_map,
    create_application,
)

CHANGE = ObjectChange(
    {**config_map("a"), "metadata": {"name": "a", "namespace": "prod"}},
    "configure",
    fields=(("data", "a"),),
    changed_by="kubectl-edit",
)
PRUNED = PruneResult(InventoryEntry("prod", "old", "", "ConfigMap", "v1"), "delete")
EVENTS = "/api/v1/namespaces/argocd/events"


def build(cluster: ArgoCluster, events: list[AuditEvent]) -> ApplicationContext:
    value = create_application(cluster, application())
    cluster.server.ask("DELETE", EVENTS)
    return build_context(build_environment(cluster, events), value, [])


def list_events(cluster: ArgoCluster) -> list[tuple[str, str]]:
    return [(event["reason"], event["message"]) for event in cluster.server.ask("GET", EVENTS)[1]["items"]]


def test_what_is_planned_is_recorded_with_the_commit_and_the_verdict(argocd_cluster: ArgoCluster) -> None:
    events: list[AuditEvent] = []
    context = build(argocd_cluster, events)
    application_events.record_planned(context, [CHANGE])
    application_events.record_planned(context, (), [PRUNED])
    application_events.record_outcome(context, ReconcileOutcome.ready("Succeeded", "done"), [CHANGE])
    assert [(event.step, event.result.outcome.reason) for event in events] == [
        ("apply", "Syncing"),
        ("delete", "Pruning"),
        ("done", "Succeeded"),
    ]
    assert all((event.revision, event.verdict) == (COMMIT, context.verdict) for event in events)
    assert events[0].result.changes == [CHANGE] and events[1].result.pruned == [PRUNED]


def test_a_deletion_is_recorded_without_a_verdict(argocd_cluster: ArgoCluster) -> None:
    events: list[AuditEvent] = []
    application_events.record_deletion(build_environment(argocd_cluster, events), application(), [PRUNED])
    [event] = events
    assert (event.step, event.verdict, event.result.pruned) == ("delete", None, [PRUNED])
    assert event.result.outcome.message == "the Application shop is being deleted"


def test_what_cannot_be_recorded_is_an_error(argocd_cluster: ArgoCluster) -> None:
    def refuse(event: AuditEvent) -> None:
        raise ToolError("the audit log is full")

    context = build(argocd_cluster, [])
    context = context._replace(environment=context.environment._replace(record=refuse))
    with pytest.raises(ToolError, match="audit log is full"):
        application_events.record_planned(context, [CHANGE])


def test_corrected_drift_is_counted_and_reported_with_its_author(argocd_cluster: ArgoCluster) -> None:
    context = build(argocd_cluster, [])
    application_events.report_drift(context, [CHANGE])
    [(reason, message)] = list_events(argocd_cluster)
    assert reason == "DriftCorrected" and message == "ConfigMap prod/a was changed by kubectl-edit: data.a"
    assert context.environment.metrics.corrected_drift.labels("ConfigMap")._value.get() == 1


def test_without_drift_there_is_no_event(argocd_cluster: ArgoCluster) -> None:
    application_events.report_drift(build(argocd_cluster, []), [])
    assert list_events(argocd_cluster) == []


def test_an_event_that_the_cluster_refuses_is_an_error(argocd_cluster: ArgoCluster) -> None:
    context = build(argocd_cluster, [])
    client = argocd_cluster.client.impersonate("system:serviceaccount:prod:nobody")
    with pytest.raises(ToolError):
        application_events.emit_event(
            context._replace(environment=context.environment._replace(cluster=client)), Event("Normal", "A", "b")
        )
