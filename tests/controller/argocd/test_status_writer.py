"""Writes of an Application's status, against a real API server."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.controller.argocd.status_writer import MetadataChange, write_status
from gatekeeper.errors import ToolError
from tests.argocd.conftest import ArgoCluster
from tests.controller.argocd.environment import application, create_application, get_application

NOW = 1_772_000_000.0
SINCE = "2026-02-25T06:13:20Z"
RUNNING = {"phase": "Running", "operation": {"sync": {}}, "startedAt": SINCE, "message": "x"}


def write(cluster: ArgoCluster, value: dict[str, Any], now: float = NOW, **status: Any) -> dict[str, Any]:
    write_status(cluster.client, value, status, now)
    found = get_application(cluster)
    assert found is not None
    return found


def test_a_status_is_merged_and_an_unchanged_one_is_not_written(argocd_cluster: ArgoCluster) -> None:
    value = create_application(argocd_cluster, application())
    first = write(argocd_cluster, value, health={"status": "Healthy"}, sync={"status": "Synced"}, sourceType="Helm")
    assert first["status"]["health"] == {"status": "Healthy", "lastTransitionTime": SINCE}
    same = write(argocd_cluster, first, NOW + 60, health={"status": "Healthy"})
    assert same["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    second = write(argocd_cluster, same, NOW + 60, health={"status": "Degraded"}, sourceTypes=["Helm"])
    assert second["status"]["health"]["lastTransitionTime"] > SINCE
    assert second["status"]["sync"] == {"status": "Synced"} and "sourceType" not in second["status"]


def test_a_finished_operation_is_removed_and_a_running_one_stays(argocd_cluster: ArgoCluster) -> None:
    value = create_application(argocd_cluster, {**application(), "operation": {"sync": {}}})
    running = write(argocd_cluster, value, operationState=RUNNING)
    assert running["operation"] == {"sync": {}}
    finished = write(argocd_cluster, running, operationState={**RUNNING, "phase": "Succeeded"})
    assert "operation" not in finished


def test_a_handled_request_and_finalizers_are_written_with_the_status(argocd_cluster: ArgoCluster) -> None:
    annotations = {"argocd.argoproj.io/refresh": "hard", "other": "stays"}
    value = create_application(argocd_cluster, application(annotations=annotations))
    change = MetadataChange("argocd.argoproj.io/refresh", ["example.com/hook"])
    write_status(argocd_cluster.client, value, {}, NOW, change)
    found = get_application(argocd_cluster)
    assert found is not None and found["metadata"]["annotations"] == {"other": "stays"}
    assert found["metadata"]["finalizers"] == ["example.com/hook"] and found["status"]["reconciledAt"] == SINCE


def test_a_status_of_an_application_that_has_changed_is_not_written(argocd_cluster: ArgoCluster) -> None:
    value = create_application(argocd_cluster, application())
    write(argocd_cluster, value, health={"status": "Healthy"})
    with pytest.raises(ToolError):
        write_status(argocd_cluster.client, value, {"health": {"status": "Degraded"}}, NOW)
