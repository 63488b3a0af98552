"""The controller on Argo CD's resources, against a real API server and real git."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.controller.running import Running, controller, until
from tests.reconciling.test_reconcile import SCHEMA, config
from tests.servers import cluster as servers
from tests.servers.cluster import Cluster

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
HOME = "/apis/argoproj.io/v1alpha1/namespaces/argocd"
APPS, PROJECTS = f"{HOME}/applications", f"{HOME}/appprojects"
MAPS = "/api/v1/namespaces/prod/configmaps"
JOBS = "/apis/batch/v1/namespaces/prod/jobs"
PREFIX = "argocd.argoproj.io"


def definition(kind: str, plural: str) -> dict[str, Any]:
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": SCHEMA}
    spec = {"group": "argoproj.io", "scope": "Namespaced", "names": names, "versions": [version]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.argoproj.io"}, "spec": spec,
    }  # fmt: skip


def project(name: str = "default", **spec: Any) -> dict[str, Any]:
    every = [{"group": "*", "kind": "*"}]
    whole = {
        "sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}], "clusterResourceWhitelist": every,
    }  # fmt: skip
    return {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
        "metadata": {"name": name, "namespace": "argocd"}, "spec": {**whole, **spec},
    }  # fmt: skip


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with servers.running(tmp_path_factory.mktemp("cluster")) as found:
        for kind, plural in (("Application", "applications"), ("AppProject", "appprojects")):
            found.make(CRDS, definition(kind, plural))
            found.wait(f"/apis/argoproj.io/v1alpha1/{plural}")
        for name in ("argocd", "prod"):
            found.make("/api/v1/namespaces", {"metadata": {"name": name}})
        yield found


# Nobody here takes away what hangs on what is deleted, and what waits for that would wait for ever.
BACKGROUND = ["PrunePropagationPolicy=background"]
AUTO = {"automated": {"prune": True, "selfHeal": True}, "syncOptions": BACKGROUND}


class Place:
    """A repository that Applications of the cluster name."""

    def __init__(self, root: Path, cluster: Cluster) -> None:
        self.root, self.cluster = root, cluster
        subprocess.run(["git", "init", "-q", "-b", "main", root], check=True)
        self.put("gatekeeper.yaml", {"library": {"profile": "off"}})

    def put(self, file: str, *held: dict[str, Any]) -> str:
        """Writes and commits a file; the commit."""
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump_all(held))
        return self.commit()

    def commit(self) -> str:
        git = ["git", "-C", str(self.root), "-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
        return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()

    def app(self, name: str = "apps", policy: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
        whole = {
            "project": "default", "source": {"repoURL": f"file://{self.root}", "targetRevision": "main", "path": name},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "prod"},
            "syncPolicy": AUTO if policy is None else policy,
        }  # fmt: skip
        return {
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": name, "namespace": "argocd"}, "spec": {**whole, **spec},
        }  # fmt: skip

    def get(self, name: str = "apps") -> Any:
        return self.cluster.ask("GET", f"{APPS}/{name}")[1]

    def state(self, name: str = "apps") -> tuple[str, str, str]:
        """Sync status, health, and the phase of the last operation."""
        status = self.get(name).get("status") or {}
        return (
            (status.get("sync") or {}).get("status", ""), (status.get("health") or {}).get("status", ""),
            (status.get("operationState") or {}).get("phase", ""),
        )  # fmt: skip

    def told(self, name: str = "apps") -> dict[str, str]:
        """The conditions."""
        return {one["type"]: one["message"] for one in (self.get(name).get("status") or {}).get("conditions") or ()}

    def message(self, name: str = "apps") -> str:
        return str(((self.get(name).get("status") or {}).get("operationState") or {}).get("message", ""))

    def refresh(self, name: str = "apps", kind: str = "normal") -> None:
        """Asks for a comparison, as `argocd app get --refresh` does."""
        assert self.cluster.ask("PATCH", f"{APPS}/{name}", note("refresh", kind))[0] == 200

    def sync(self, name: str = "apps", **sync: Any) -> None:
        """Asks for a sync, as `argocd app sync` does."""
        operation = {"sync": sync, "initiatedBy": {"username": "ann"}}
        assert self.cluster.ask("PATCH", f"{APPS}/{name}", {"operation": operation})[0] == 200

    def data(self, name: str) -> Any:
        code, value = self.cluster.ask("GET", f"{MAPS}/{name}")
        return value["data"] if code == 200 else None

    def events(self) -> list[tuple[str, str]]:
        held = self.cluster.ask("GET", "/api/v1/namespaces/argocd/events")[1]["items"]
        return [(one["reason"], one["message"]) for one in held]


def note(name: str, text: str | None) -> dict[str, Any]:
    return {"metadata": {"annotations": {f"{PREFIX}/{name}": text}}}


def marked(value: dict[str, Any], **notes: str) -> dict[str, Any]:
    held = {f"{PREFIX}/{name.replace('_', '-')}": text for name, text in notes.items()}
    return {**value, "metadata": {**value["metadata"], "annotations": held}}


def job(name: str, **notes: str) -> dict[str, Any]:
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "registry.example/c@sha256:" + "0" * 64}]}
    value = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "prod"},
        "spec": {"template": {"spec": pod}},
    }  # fmt: skip
    return marked(value, **notes)


@pytest.fixture
def place(cluster: Cluster, tmp_path: Path) -> Iterator[Place]:
    cluster.make(PROJECTS, project())
    yield Place(tmp_path / "root", cluster)
    for one in cluster.ask("GET", APPS)[1]["items"]:
        cluster.ask("PATCH", f"{APPS}/{one['metadata']['name']}", {"metadata": {"finalizers": None}})
    for path in (APPS, PROJECTS, "/api/v1/namespaces/argocd/events", MAPS, "/api/v1/namespaces/argocd/secrets", JOBS):
        cluster.ask("DELETE", path)
    assert cluster.ask("GET", JOBS)[1]["items"] == []


def argo(place: Place, folder: Path, *options: str | Path, name: str = "one") -> Any:
    return controller(place.cluster, folder, "--controllers", "argo", "-n", "prod", *options, name=name)


def synced(place: Place, running: Running, name: str = "apps") -> None:
    until(lambda: place.state(name) == ("Synced", "Healthy", "Succeeded"), running)


def test_a_commit_comes_into_the_cluster_and_what_somebody_changes_is_put_right(place: Place, tmp_path: Path) -> None:
    cluster = place.cluster
    first = place.put("apps/all.yaml", config("x"), config("w", namespace=""))
    (place.root / "apps" / "deep").mkdir()
    place.put("apps/deep/not.yaml", config("deep"))
    first = place.commit()
    log = tmp_path / "audit.jsonl"
    with argo(place, tmp_path, "--audit", log) as running:
        cluster.make(APPS, place.app())
        synced(place, running)
        value = place.get()
        status = value["status"]
        assert status["sync"]["revision"] == status["operationState"]["syncResult"]["revision"] == first
        assert status["sync"]["comparedTo"]["source"] == value["spec"]["source"]
        assert [(one["kind"], one["name"], one["status"]) for one in status["resources"]] == [
            ("ConfigMap", "w", "Synced"), ("ConfigMap", "x", "Synced"),
        ]  # fmt: skip
        assert status["history"][0] | {"deployStartedAt": "", "deployedAt": ""} == {
            "id": 0, "revision": first, "source": value["spec"]["source"], "initiatedBy": {"automated": True},
            "deployStartedAt": "", "deployedAt": "",
        }  # fmt: skip
        assert status["sourceType"] == "Directory" and "finalizers" not in value["metadata"]
        assert place.data("deep") is None
        live = cluster.ask("GET", f"{MAPS}/x")[1]
        assert live["metadata"]["annotations"][f"{PREFIX}/tracking-id"] == "apps:/ConfigMap:prod/x"
        # Somebody changes a value, deletes an object: each is put right, and told with who it was.
        cluster.ask("PUT", f"{MAPS}/x?fieldManager=kubectl-edit", {**live, "data": {"a": "changed"}})
        until(lambda: place.data("x") == {"a": "1"}, running)
        until(
            lambda: ("DriftCorrected", "ConfigMap prod/x was changed by kubectl-edit: data.a") in place.events(),
            running,
        )
        cluster.ask("DELETE", f"{MAPS}/w")
        until(lambda: place.data("w") == {"a": "1"}, running)
        # A new commit; what is not in it goes.
        second = place.put("apps/all.yaml", config("x", "2"))
        place.refresh()
        until(lambda: place.data("x") == {"a": "2"} and place.data("w") is None, running)
        until(lambda: place.get()["status"]["sync"]["revision"] == second, running)
        synced(place, running)
        assert "annotations" not in place.get()["metadata"]
        assert [one["id"] for one in place.get()["status"]["history"]] == [0, 1]
        assert running.stop() == 0
    from gatekeeper import audit

    count, fault = audit.verified(audit.lines(log))
    assert fault is None and count > 4 and '"Application"' in log.read_text() and "Ann" in log.read_text()
