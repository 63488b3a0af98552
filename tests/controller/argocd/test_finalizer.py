"""Deletion of Applications step by step, against a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gatekeeper.apply.model import AuditEvent
from gatekeeper.controller.argocd.finalizer import RECHECK_SECONDS, RESOURCES_FINALIZER, finalize_application
from gatekeeper.errors import ToolError
from tests.argocd.conftest import APPLICATIONS, ArgoCluster
from tests.controller.argocd.environment import (
    application,
    build_context,
    build_environment,
    config_map,
    create_application,
    get_application,
)

FINALIZER = f"{RESOURCES_FINALIZER}/background"


@pytest.fixture(autouse=True)
def _clean(argocd_cluster: ArgoCluster) -> Iterator[None]:
    yield
    argocd_cluster.delete_all("/api/v1/namespaces/prod/configmaps")


def deleted(cluster: ArgoCluster, events: list[AuditEvent], *objects: dict[str, Any]) -> dict[str, Any]:
    """An Application that has applied objects and is being deleted."""
    value = create_application(cluster, application(finalizers=[FINALIZER]))
    context = build_context(build_environment(cluster, events), value, objects)
    for resource in context.resources:
        kind = cluster.client.find_kind(resource["apiVersion"], resource["kind"])
        assert kind is not None
        cluster.client.apply(kind, resource, "gatekeeper", False)
    names = [resource["metadata"]["name"] for resource in context.resources]
    resources = [{"kind": "ConfigMap", "version": "v1", "namespace": "prod", "name": name} for name in names]
    value = cluster.client.patch(APPLICATIONS, value, {"status": {"resources": resources}})
    cluster.server.ask("DELETE", "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/shop")
    found = get_application(cluster)
    assert found is not None
    return found


def exists(cluster: ArgoCluster, name: str) -> bool:
    return bool(cluster.server.ask("GET", f"/api/v1/namespaces/prod/configmaps/{name}")[0] == 200)


def test_the_last_wave_is_deleted_first_and_then_the_application(argocd_cluster: ArgoCluster) -> None:
    events: list[AuditEvent] = []
    value = deleted(argocd_cluster, events, config_map("x"), config_map("late", **{"sync-wave": "2"}))
    environment = build_environment(argocd_cluster, events)
    assert finalize_application(environment, value, None) == RECHECK_SECONDS
    assert exists(argocd_cluster, "x") and not exists(argocd_cluster, "late")
    assert finalize_application(environment, value, None) == RECHECK_SECONDS
    assert not exists(argocd_cluster, "x") and get_application(argocd_cluster) is not None
    assert finalize_application(environment, value, None) is None and get_application(argocd_cluster) is None
    assert [event.step for event in events] == ["delete", "delete"]
    assert events[0].result.outcome.message == "the Application shop is being deleted"


def test_objects_that_are_kept_or_need_confirmation(argocd_cluster: ArgoCluster) -> None:
    kept, confirm = (
        config_map("kept", **{"sync-options": "Delete=false"}),
        config_map("c", **{"sync-options": "Delete=confirm"}),
    )
    value = deleted(argocd_cluster, [], kept, confirm)
    environment = build_environment(argocd_cluster, [])
    assert finalize_application(environment, value, None) is None
    assert exists(argocd_cluster, "c")
    waiting = get_application(argocd_cluster)
    assert waiting is not None
    [condition] = waiting["status"]["conditions"]
    assert condition["type"] == "DeletionError"
    assert condition["message"] == "ConfigMap prod/c is only deleted after confirmation (`Delete=confirm`)"
    annotations = {"argocd.argoproj.io/deletion-approved": "2026-01-01T00:00:00Z"}
    confirmed = {**waiting, "metadata": {**waiting["metadata"], "annotations": annotations}}
    assert finalize_application(environment, confirmed, None) == RECHECK_SECONDS
    assert not exists(argocd_cluster, "c") and exists(argocd_cluster, "kept")


def test_an_invalid_application_says_why_it_cannot_be_deleted(argocd_cluster: ArgoCluster) -> None:
    value = deleted(argocd_cluster, [])
    invalid = {**value, "spec": {**value["spec"], "destination": {}}}
    with pytest.raises(ToolError, match=r"`spec\.destination\.server` or `name` must be set"):
        finalize_application(build_environment(argocd_cluster, []), invalid, None)
    found = get_application(argocd_cluster)
    assert found is not None
    assert found["status"]["conditions"][0]["message"].endswith(f"fix this, or remove the finalizer {FINALIZER}")
