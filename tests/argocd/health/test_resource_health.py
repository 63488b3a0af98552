"""How well objects are: by Argo CD's own cases, and by some of our own for what those leave out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from gatekeeper.argocd.health import builtin, lua_client, resource_health
from gatekeeper.argocd.health.builtin import ArgoHealth
from gatekeeper.errors import ToolError
from tests.conftest import SHARED, needs, shared
from tests.servers.modules import module

MODULE, ENGINE = "github.com/argoproj/argo-cd/v3", "github.com/argoproj/gitops-engine"


@pytest.fixture(scope="module")
def argo() -> Path:
    """Argo CD as its scripts were taken from it, with the cases of those."""
    [version] = re.findall(rf"{MODULE} (v\S+)", (Path(lua_client.__file__).parent / "lua" / "go.mod").read_text())
    return module(MODULE, version)


def cases(folder: Path) -> Iterator[tuple[str, str, Path]]:
    for file in sorted(folder.rglob("health_test.yaml")):
        for one in yaml.safe_load(file.read_text())["tests"]:
            path = file.parent / (one.get("inputPath") or one["inputpath"])
            yield str(path.relative_to(folder)), one["healthStatus"]["status"], path


def differing(folder: Path) -> tuple[int, list[str]]:
    """How many cases there are, and which come to something else."""
    count, other = 0, []
    for name, word, path in cases(folder):
        value = next(iter(yaml.load_all(path.read_text(), yaml.CSafeLoader)))
        value = orjson.loads(orjson.dumps(value, default=lambda when: when.strftime("%Y-%m-%dT%H:%M:%SZ")))
        said = lua_client.evaluate_health(value["apiVersion"].rpartition("/")[0], value["kind"], value)
        count += 1
        if said is None or (said.status, said.fault) != (word, ""):
            other.append(f"{name}: {word}, {said}")
    return count, other


@needs("luahealth")
def test_all_of_argo_cds_own_cases_come_to_the_same(argo: Path) -> None:
    count, other = differing(argo / "resource_customizations")
    # Of this kind there are cases, and no script.
    assert [one for one in other if not one.startswith("sql.cnrm.cloud.google.com/SQLUser/")] == []
    assert (count, len(other)) == (1041, 5)


CASE = re.compile(r'assertAppHealth\(t, "./(testdata/[^"]+)", HealthStatus(\w+)\)')


def test_argo_cds_cases_of_kubernetes_own_kinds_come_to_the_same(argo: Path) -> None:
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


@needs("luahealth")
@shared("corpora/argo-health")
def test_cases_of_another_version_come_to_the_same() -> None:
    count, other = differing(SHARED / "corpora" / "argo-health")
    assert other == [] and count == 138


@needs("luahealth")
def test_a_script_of_the_users_counts_first_and_can_do_no_harm() -> None:
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "status": {"phase": "Up"}}
    settings = {
        "resource.customizations.health.example.com_Widget": 'return {status = obj.status.phase == "Up" and "Healthy" or "Degraded", message = string.upper("up")}',
        "resource.customizations": "'*.example.org/*': {health.lua: 'return {status = \"Suspended\"}'}",
    }
    scripts = resource_health.parse_scripts(settings)
    assert (
        resource_health.compute_health(widget, scripts) == ArgoHealth("Healthy", "UP")
        and resource_health.compute_health(widget, {}) is None
    )
    assert resource_health.compute_health({**widget, "apiVersion": "a.example.org/v1"}, scripts) == ArgoHealth(
        "Suspended"
    )
    for text, words in (
        ("while true do end", "takes longer than a second"),
        ("return io.open('/etc/passwd')", "fails"),
        ("return os.getenv('HOME')", "fails"),
        ("return dofile('/etc/passwd')", "fails"),
        ("this is no Lua", "fails"),
        ("return {status = 'Fine'}", "returned no valid status"),
    ):
        found = resource_health.compute_health(widget, {"example.com/Widget": text})
        assert found is not None and found.status == "Unknown" and words in found.message, text
    with pytest.raises(ToolError, match="is not valid YAML"):
        resource_health.parse_scripts({"resource.customizations": "{"})


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
def test_kubernetes_own_kinds_are_as_well_as_argo_cd_says(value: dict[str, Any], word: str | None) -> None:
    found = resource_health.compute_health(value, {})
    assert (found.status if found else None) == word


def test_the_worst_counts() -> None:
    assert builtin.find_worst([]) == "Healthy"
    assert builtin.find_worst(["Healthy", "Degraded", "Progressing"]) == "Degraded"
    assert builtin.find_worst(["Missing", "Progressing"]) == "Missing"
