"""Built-in health checks: Argo CD's own cases, and further ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatekeeper.argocd.health import builtin, resource_health
from tests.argocd.health.test_lua_client import argo
from tests.conftest import needs
from tests.servers.modules import module

__all__ = ["argo"]
ENGINE = "github.com/argoproj/gitops-engine"


CASE = re.compile(r'assertAppHealth\(t, "./(testdata/[^"]+)", HealthStatus(\w+)\)')


@needs("gatekeeper-upstream")
def test_argo_cds_own_cases_have_the_same_health(argo: Path) -> None:
    [version] = re.findall(rf"{ENGINE} (v\S+)", (argo / "go.mod").read_text())
    folder = module(ENGINE, version) / "pkg" / "health"
    listed = CASE.findall((folder / "health_test.go").read_text())
    other = []
    for name, word in listed:
        value = yaml.load((folder / name).read_text(), yaml.CSafeLoader)
        found = resource_health.compute_health(value, {})
        if found is None or found.status != word:
            other.append(f"{name}: {word}, {found}")
    assert other == [] and len(listed) > 40


def one(kind: str, api_version: str = "v1", **parts: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, **parts}


def conditions(*held: tuple[str, str, str]) -> list[dict[str, str]]:
    return [{"type": kind, "status": status, "reason": reason, "message": reason} for kind, status, reason in held]


READY = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2}


@needs("gatekeeper-upstream")
@pytest.mark.parametrize(
    ("value", "word"),
    [
        (one("ConfigMap"), None),
        (one("Deployment", "apps/v1", spec={"replicas": 2}, status=READY), "Healthy"),
        (one("Deployment", "apps/v1", spec={"replicas": 3}, status=READY), "Progressing"),
        (one("Deployment", "apps/v1", spec={"replicas": 2, "paused": True}, status=READY), "Suspended"),
        (one("Deployment", "apps/v1", spec={"replicas": 2}, status={**READY, "availableReplicas": 1}), "Progressing"),
        (
            one(
                "Deployment",
                "apps/v1",
                spec={"replicas": 2},
                status={**READY, "conditions": conditions(("Progressing", "False", "ProgressDeadlineExceeded"))},
            ),
            "Degraded",
        ),
        (one("StatefulSet", "apps/v1", spec={"replicas": 2}, status=READY), "Healthy"),
        (one("StatefulSet", "apps/v1", spec={"replicas": 2}, status={}), "Progressing"),
        (one("ReplicaSet", "apps/v1", spec={"replicas": 2}, status={"observedGeneration": 1}), "Progressing"),
        (one("DaemonSet", "apps/v1", spec={}, status={"desiredNumberScheduled": 1}), "Progressing"),
        (one("Job", "batch/v1", status={"conditions": conditions(("Failed", "True", "x"))}), "Degraded"),
        (one("Job", "batch/v1", status={"conditions": conditions(("Complete", "True", "x"))}), "Healthy"),
        (one("Job", "batch/v1", status={"conditions": conditions(("Suspended", "True", "x"))}), "Suspended"),
        (one("Job", "batch/v1"), "Progressing"),
        (one("Pod", status={"phase": "Running", "conditions": conditions(("Ready", "True", ""))}), "Healthy"),
        (
            one(
                "Pod",
                status={
                    "phase": "Running",
                    "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}],
                },
            ),
            "Degraded",
        ),
        (one("Pod", status={"phase": "Failed"}), "Degraded"),
        (one("Pod", status={"phase": "Pending"}), "Progressing"),
        (one("Service", spec={"type": "LoadBalancer"}), "Progressing"),
        (one("Service", spec={}), "Healthy"),
        (one("PersistentVolumeClaim", status={"phase": "Lost"}), "Degraded"),
        (one("PersistentVolumeClaim", status={"phase": "Bound"}), "Healthy"),
        (one("Ingress", "networking.k8s.io/v1"), "Progressing"),
        (
            one(
                "APIService", "apiregistration.k8s.io/v1", status={"conditions": conditions(("Available", "True", ""))}
            ),
            "Healthy",
        ),
        (
            one(
                "HorizontalPodAutoscaler",
                "autoscaling/v2",
                status={"conditions": conditions(("AbleToScale", "True", "SucceededRescale"))},
            ),
            "Healthy",
        ),
        ({**one("ConfigMap"), "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, "Progressing"),
    ],
)
def test_health_of_kubernetes_own_kinds(value: dict[str, Any], word: str | None) -> None:
    found = resource_health.compute_health(value, {})
    assert (found.status if found else None) == word


def test_the_worst_health_counts() -> None:
    assert builtin.find_worst([]) == "Healthy"
    assert builtin.find_worst(["Healthy", "Degraded", "Progressing"]) == "Degraded"
    assert builtin.find_worst(["Missing", "Progressing"]) == "Missing"


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({"observedGeneration": 1, "replicas": 3, "updatedReplicas": 1}, "rollout: 1 of 2 replicas are updated"),
        ({**READY, "replicas": 3}, "rollout: 1 old replicas are pending termination"),
        ({**READY, "availableReplicas": 1}, "rollout: 1 of 2 updated replicas are available"),
    ],
)
def test_a_rollout_in_progress_says_what_is_missing(status: dict[str, Any], message: str) -> None:
    found = resource_health.compute_health(one("Deployment", "apps/v1", spec={"replicas": 2}, status=status), {})
    assert found == builtin.ArgoHealth("Progressing", message)


def test_conditions_of_an_autoscaler_are_read_from_its_annotation_and_may_be_broken() -> None:
    annotation = {"name": "x", "annotations": {builtin.AUTOSCALING_CONDITIONS: "[1, {}]"}}
    value = {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": annotation}
    assert builtin.HEALTH_CHECKS["autoscaling/HorizontalPodAutoscaler"](value).status == "Progressing"
    annotation["annotations"] = {builtin.AUTOSCALING_CONDITIONS: "{"}
    assert "not valid JSON" in builtin.HEALTH_CHECKS["autoscaling/HorizontalPodAutoscaler"](value).message
