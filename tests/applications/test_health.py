"""How well objects are: by Argo CD's own cases, and by some of our own for what those leave out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatekeeper.applications import builtin_health, health
from tests.conftest import SHARED, shared

CASES = SHARED / "corpora" / "argo-health"
# Rollouts before 1.0 have no phase, and are told as progressing; of the others the order of conditions is another.
ELSE = {
    "argoproj.io/Rollout/testdata/healthy_legacy_v0.9_observedGeneration.yaml",
    "argoproj.io/Rollout/testdata/healthy_legacy_v0.9_observedGeneration_numeric.yaml",
    "argoproj.io/Rollout/testdata/bluegreen/healthy_servingActiveService.yaml",
    "argoproj.io/Rollout/testdata/canary/healthy_executedAllStepsPreV0.8.yaml",
    "argoproj.io/Rollout/testdata/canary/healthy_executedAllSteps.yaml",
    "argoproj.io/Rollout/testdata/canary/healthy_noSteps.yaml",
    "argoproj.io/Rollout/testdata/canary/healthy_emptyStepsList.yaml",
    "argoproj.io/ApplicationSet/testdata/resourceNotUpdatedApplicationSet.yaml",
    "argoproj.io/ApplicationSet/testdata/progressiveSyncApplicationSet.yaml",
}
# Kinds of which nothing is known here.
UNKNOWN = ("apps.kruise.io/", "argoproj.io/CronWorkflow/", "argoproj.io/EventBus/")


def cases() -> Iterator[tuple[str, str, Path]]:
    for file in sorted(CASES.rglob("health_test.yaml")):
        for one in yaml.safe_load(file.read_text())["tests"]:
            path = file.parent / (one.get("inputPath") or one["inputpath"])
            yield str(path.relative_to(CASES)), one["healthStatus"]["status"], path


@shared("corpora/argo-health")
def test_argo_cds_own_cases_come_to_the_same() -> None:
    other, unknown, same = set(), set(), 0
    for name, word, path in cases():
        found = health.of(yaml.safe_load(path.read_text()))
        if found is None:
            unknown.add(name)
        elif found.word == word:
            same += 1
        else:
            other.add(name)
    assert other == ELSE and all(name.startswith(UNKNOWN) for name in unknown)
    assert same == 98


def one(kind: str, api_version: str = "v1", **parts: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, **parts}


def conditions(*held: tuple[str, str, str]) -> list[dict[str, str]]:
    return [{"type": kind, "status": status, "reason": reason, "message": reason} for kind, status, reason in held]


READY = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2}


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (one("ConfigMap"), None),
        (one("Deployment", "apps/v1", spec={"replicas": 2}, status=READY), "Healthy"),
        (one("Deployment", "apps/v1", spec={"replicas": 3}, status=READY), "Progressing"),
        (one("Deployment", "apps/v1", spec={"replicas": 2, "paused": True}, status=READY), "Suspended"),
        (one("Deployment", "apps/v1", spec={"replicas": 2}, status={**READY, "availableReplicas": 1}), "Progressing"),
        (
            one("Deployment", "apps/v1", spec={"replicas": 2}, status={
                **READY, "conditions": conditions(("Progressing", "False", "ProgressDeadlineExceeded"))}),
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
            one("Pod", status={"phase": "Running", "containerStatuses": [
                {"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}),
            "Degraded",
        ),
        (one("Pod", status={"phase": "Failed"}), "Degraded"), (one("Pod", status={"phase": "Pending"}), "Progressing"),
        (one("Service", spec={"type": "LoadBalancer"}), "Progressing"), (one("Service", spec={}), "Healthy"),
        (one("PersistentVolumeClaim", status={"phase": "Lost"}), "Degraded"),
        (one("PersistentVolumeClaim", status={"phase": "Bound"}), "Healthy"),
        (one("Ingress", "networking.k8s.io/v1"), "Progressing"),
        (one("APIService", "apiregistration.k8s.io/v1", status={"conditions": conditions(("Available", "True", ""))}), "Healthy"),
        (
            one("HorizontalPodAutoscaler", "autoscaling/v2", status={
                "conditions": conditions(("AbleToScale", "True", "SucceededRescale"))}),
            "Healthy",
        ),
        ({**one("ConfigMap"), "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, "Progressing"),
    ],
)  # fmt: skip
def test_kubernetes_own_kinds_are_as_well_as_argo_cd_says(value: dict[str, Any], word: str | None) -> None:
    found = health.of(value)
    assert (found.word if found else None) == word


def test_the_worst_counts() -> None:
    assert builtin_health.worst([]) == "Healthy"
    assert builtin_health.worst(["Healthy", "Degraded", "Progressing"]) == "Degraded"
    assert builtin_health.worst(["Missing", "Progressing"]) == "Missing"
