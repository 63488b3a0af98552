"""Waiting for health: only healthy objects are ready, and one that cannot be read is not."""

from __future__ import annotations

import threading

from gatekeeper.apply.changes import ObjectChange
from gatekeeper.flux import readiness
from gatekeeper.flux.kustomization_spec import HealthCheck, parse_kustomization_spec
from tests.flux.conftest import FluxCluster
from tests.flux.test_reconciler import config, deployment, flux

MAP = HealthCheck("v1", "ConfigMap", "prod", "a")
WEB = HealthCheck("apps/v1", "Deployment", "prod", "web")
WEB_PATH = "/apis/apps/v1/namespaces/prod/deployments"


def wait(cluster: FluxCluster, *checks: HealthCheck, seconds: float = 0.05, is_stopped: bool = False) -> str:
    stop_event = threading.Event()
    if is_stopped:
        stop_event.set()
    return readiness.wait_until_ready(cluster.client, checks, seconds, stop_event)


def test_healthy_objects_are_ready_at_once(flux_cluster: FluxCluster) -> None:
    flux_cluster.create_config_map("a")
    assert wait(flux_cluster, MAP) == "" == wait(flux_cluster)


def test_a_missing_object_is_not_ready_after_the_timeout(flux_cluster: FluxCluster) -> None:
    assert wait(flux_cluster, MAP) == "not ready after 0.05 seconds: ConfigMap prod/a: not found"
    unknown = HealthCheck("example.com/v1", "Widget", "prod", "w")
    assert "Widget prod/w: not found" in wait(flux_cluster, unknown)


def test_an_object_that_cannot_be_read_is_not_ready(flux_cluster: FluxCluster) -> None:
    flux_cluster.create_config_map("a")
    report = readiness.check_readiness(flux_cluster.client_without_rights, [MAP])
    assert report.pending == [MAP] and "forbidden" in report.reasons and report.failure == ""


def test_an_object_that_has_failed_ends_the_wait(flux_cluster: FluxCluster) -> None:
    flux_cluster.server.make(WEB_PATH, deployment())
    late = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    status = {"observedGeneration": 1, "conditions": late}
    assert flux_cluster.server.ask("PATCH", f"{WEB_PATH}/web/status", {"status": status})[0] == 200
    assert "exceeded its progress deadline" in wait(flux_cluster, MAP, WEB, seconds=3600)


def test_a_stopped_process_does_not_wait(flux_cluster: FluxCluster) -> None:
    assert wait(flux_cluster, MAP, seconds=3600, is_stopped=True) == "stopped before all objects were ready"


def test_all_applied_objects_are_checked_only_with_wait() -> None:
    changes = [ObjectChange(config("a"), "create"), ObjectChange(config("skipped"), "skip")]
    listed = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "namespace": "prod"}
    specs = [parse_kustomization_spec(flux(**fields)) for fields in ({"wait": True}, {"healthChecks": [listed]}, {})]
    assert [readiness.select_checks(spec, changes) for spec in specs] == [[MAP], [WEB], []]
