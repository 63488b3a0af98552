"""Operations step by step, against a real API server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from gatekeeper.apply.model import AuditEvent
from gatekeeper.argocd.status import StatusFields
from gatekeeper.controller.argocd.application_comparison import compare_after_sync, compare_application
from gatekeeper.controller.argocd.operation_runner import OperationProgress, OperationRunner
from gatekeeper.controller.argocd.status_writer import write_status
from tests.argocd.conftest import APPLICATIONS, ArgoCluster
from tests.controller.argocd.environment import (
    application,
    build_context,
    build_environment,
    config_map,
    create_application,
)

# The test server has no garbage collector, which foreground deletion needs.
AUTO = {
    "automated": {"prune": True, "selfHeal": True},
    "syncOptions": ["PrunePropagationPolicy=background"],
}


class Shop:
    """One Application, synced step by step."""

    def __init__(self, cluster: ArgoCluster, policy: dict[str, Any], **fields: Any) -> None:
        self.cluster, self.events = cluster, list[AuditEvent]()
        self.environment = build_environment(cluster, self.events)
        self.manifest = create_application(cluster, {**application(policy=policy), **fields})
        self.runner = OperationRunner()

    def step(self, *objects: dict[str, Any], revision: str = "a" * 40) -> OperationProgress:
        context = build_context(self.environment, self.manifest, objects, revision)
        progress = self.runner.continue_operation(context, compare_application(context))
        status: StatusFields = {}
        if progress.state is not None:
            status["operationState"] = progress.state.to_status()
        if progress.history is not None:
            status["history"] = progress.history
        self.manifest = write_status(self.cluster.client, progress.context.manifest, status, time.time())
        return progress

    def change(self, **fields: Any) -> None:
        """Change the Application in the cluster."""
        self.manifest = self.cluster.client.patch(APPLICATIONS, self.manifest, fields)

    def data(self, name: str) -> Any:
        code, value = self.cluster.server.ask("GET", f"/api/v1/namespaces/prod/configmaps/{name}")
        return value["data"]["a"] if code == 200 else None

    def reasons(self) -> list[str]:
        listed = self.cluster.server.ask("GET", "/api/v1/namespaces/argocd/events")[1]["items"]
        return [event["reason"] for event in listed]


@pytest.fixture(autouse=True)
def _clean(argocd_cluster: ArgoCluster) -> Iterator[None]:
    yield
    argocd_cluster.delete_all("/api/v1/namespaces/prod/configmaps")
    argocd_cluster.delete_all("/api/v1/namespaces/argocd/events")


def test_an_automated_sync_applies_records_and_reports(argocd_cluster: ArgoCluster) -> None:
    shop = Shop(argocd_cluster, AUTO)
    progress = shop.step(config_map("x"), config_map("y"))
    assert progress.is_done and progress.is_current and progress.state is not None
    assert (progress.state.phase, progress.conditions, shop.data("x"), shop.data("y")) == ("Succeeded", {}, "1", "1")
    assert [(result.entry.name, result.message) for result in progress.state.results] == [
        ("x", "created"),
        ("y", "created"),
    ]
    assert progress.history is not None and progress.history[0]["id"] == 0
    assert [event.step for event in shop.events] == ["apply", "done"]
    assert sorted(shop.reasons()) == ["OperationCompleted", "OperationStarted"]
    settled = compare_after_sync(progress, compare_application(progress.context))
    assert {item.status for item in settled} == {"Synced"}
    # Nothing to do: the state stays as it is.
    assert shop.step(config_map("x"), config_map("y")).state is None


def test_drift_is_corrected_once_and_then_with_back_off(argocd_cluster: ArgoCluster) -> None:
    shop = Shop(argocd_cluster, AUTO)
    shop.step(config_map("x"))
    for is_corrected in (True, False):
        argocd_cluster.server.ask("PATCH", "/api/v1/namespaces/prod/configmaps/x", {"data": {"a": "changed"}})
        progress = shop.step(config_map("x"))
        assert progress.is_done is is_corrected and shop.data("x") == ("1" if is_corrected else "changed")
    assert progress.requeue_seconds is not None and 0 < progress.requeue_seconds <= 2
    assert "DriftCorrected" in shop.reasons()


def test_a_wave_waits_before_the_next_one(argocd_cluster: ArgoCluster) -> None:
    shop = Shop(argocd_cluster, AUTO)
    objects = (config_map("first", **{"sync-wave": "-1"}), config_map("second"))
    progress = shop.step(*objects)
    assert not progress.is_done and progress.state is not None and progress.state.phase == "Running"
    assert progress.state.message == "pausing after wave -1 of phase Sync"
    assert (shop.data("first"), shop.data("second")) == ("1", None)
    # A running sync goes on with the revision it began with.
    progress = shop.step(config_map("other"), revision="b" * 40)
    assert progress.is_done and not progress.is_current
    assert (shop.data("second"), shop.data("other")) == ("1", None)


def test_a_sync_of_an_older_revision_is_not_continued_by_another_replica(argocd_cluster: ArgoCluster) -> None:
    shop = Shop(argocd_cluster, AUTO)
    shop.step(config_map("first", **{"sync-wave": "-1"}), config_map("second"))
    shop.runner = OperationRunner()
    assert shop.runner.needs_comparison(shop.manifest)
    progress = shop.step(config_map("second"), revision="b" * 40)
    assert progress.state is not None and progress.state.phase == "Failed" and shop.data("second") is None
    assert progress.conditions["SyncError"].startswith("superseded by revision bbbbbbb")


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ({"info": []}, "`operation.sync` is missing"),
        ({"sync": {"revision": "other"}}, "the operation requests revision other"),
    ],
)
def test_a_requested_operation_that_cannot_run_fails(
    argocd_cluster: ArgoCluster, operation: dict[str, Any], message: str
) -> None:
    shop = Shop(argocd_cluster, {}, operation=operation)
    progress = shop.step(config_map("x"))
    assert progress.state is not None and progress.state.phase == "Failed"
    assert progress.conditions["SyncError"].startswith(message) and shop.data("x") is None


def test_a_dry_run_writes_nothing(argocd_cluster: ArgoCluster) -> None:
    shop = Shop(argocd_cluster, {}, operation={"sync": {"dryRun": True}})
    progress = shop.step(config_map("x"))
    assert progress.state is not None and (progress.state.phase, progress.history) == ("Succeeded", None)
    assert shop.data("x") is None


def test_a_terminated_operation_ends_without_a_retry(argocd_cluster: ArgoCluster) -> None:
    shop = Shop(argocd_cluster, {**AUTO, "retry": {"limit": 5}})
    shop.step(config_map("first", **{"sync-wave": "-1"}), config_map("second"))
    shop.change(status={"operationState": {"phase": "Terminating"}})
    progress = shop.step(config_map("second"))
    assert progress.state is not None and (progress.state.phase, progress.state.message) == (
        "Failed",
        "Operation terminated",
    )
    assert not progress.state.is_running


def test_a_prune_over_the_budget_waits_for_approval(argocd_cluster: ArgoCluster) -> None:
    shop = Shop(argocd_cluster, AUTO)
    names = [f"x{number}" for number in range(4)]
    shop.step(*map(config_map, names))
    resources = [{"kind": "ConfigMap", "version": "v1", "namespace": "prod", "name": name} for name in names]
    shop.change(status={"resources": resources})
    progress = shop.step(config_map("x0"), revision="b" * 40)
    assert "3 of 4 objects would be deleted" in progress.conditions["PruneHeld"]
    assert shop.data("x3") == "1"
    shop.change(metadata={"annotations": {"gatekeeper-gitops.io/approved-revision": "c" * 40}})
    progress = shop.step(config_map("x0"), revision="c" * 40)
    assert "PruneHeld" not in progress.conditions and shop.data("x3") is None
