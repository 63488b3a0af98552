"""The controller on Argo CD's resources, against a real API server and real git."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.controller.deployment import Running, controller, until
from tests.flux.test_reconciler import SCHEMA, config
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
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.argoproj.io"},
        "spec": spec,
    }


def project(name: str = "default", **spec: Any) -> dict[str, Any]:
    every = [{"group": "*", "kind": "*"}]
    whole = {
        "sourceRepos": ["*"],
        "destinations": [{"server": "*", "namespace": "*"}],
        "clusterResourceWhitelist": every,
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": name, "namespace": "argocd"},
        "spec": {**whole, **spec},
    }


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
            "project": "default",
            "source": {"repoURL": f"file://{self.root}", "targetRevision": "main", "path": name},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "prod"},
            "syncPolicy": AUTO if policy is None else policy,
        }
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": name, "namespace": "argocd"},
            "spec": {**whole, **spec},
        }

    def get(self, name: str = "apps") -> Any:
        return self.cluster.ask("GET", f"{APPS}/{name}")[1]

    def state(self, name: str = "apps") -> tuple[str, str, str]:
        """Sync status, health, and the phase of the last operation."""
        status = self.get(name).get("status") or {}
        return (
            (status.get("sync") or {}).get("status", ""),
            (status.get("health") or {}).get("status", ""),
            (status.get("operationState") or {}).get("phase", ""),
        )

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
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "prod"},
        "spec": {"template": {"spec": pod}},
    }
    return marked(value, **notes)


@pytest.fixture
def place(cluster: Cluster, tmp_path: Path) -> Iterator[Place]:
    cluster.make(PROJECTS, project())
    yield Place(tmp_path / "root", cluster)
    for one in cluster.ask("GET", APPS)[1]["items"]:
        cluster.ask("PATCH", f"{APPS}/{one['metadata']['name']}", {"metadata": {"finalizers": None}})
    made = "/api/v1/namespaces/made/configmaps"
    for path in (
        APPS,
        PROJECTS,
        "/api/v1/namespaces/argocd/events",
        MAPS,
        made,
        "/api/v1/namespaces/argocd/secrets",
        JOBS,
    ):
        cluster.ask("DELETE", f"{path}?propagationPolicy=Background")
    assert cluster.ask("GET", JOBS)[1]["items"] == []


def argo(place: Place, folder: Path, *options: str | Path, name: str = "one") -> Any:
    return controller(place.cluster, folder, "--controllers", "argo", "-n", "prod", *options, name=name)


def synced(place: Place, running: Running, name: str = "apps") -> None:
    until(lambda: place.state(name) == ("Synced", "Healthy", "Succeeded"), running)


def test_a_commit_is_synced_and_drift_is_corrected(place: Place, tmp_path: Path) -> None:
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
            ("ConfigMap", "w", "Synced"),
            ("ConfigMap", "x", "Synced"),
        ]
        assert status["history"][0] | {"deployStartedAt": "", "deployedAt": ""} == {
            "id": 0,
            "revision": first,
            "source": value["spec"]["source"],
            "initiatedBy": {"automated": True},
            "deployStartedAt": "",
            "deployedAt": "",
        }
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
    from gatekeeper.controller.runtime import audit_log

    count, fault = audit_log.verify_chain(audit_log.read_lines(log))
    assert fault is None and count > 4 and '"Application"' in log.read_text() and "Ann" in log.read_text()


def test_waves_and_hooks_run_in_order_and_hooks_only_for_new_commits(place: Place, tmp_path: Path) -> None:
    cluster = place.cluster
    place.put(
        "apps/all.yaml",
        job("before", hook="PreSync"),
        marked(config("early"), sync_wave="-1"),
        config("late"),
        job("after", hook="PostSync", hook_delete_policy="HookSucceeded"),
        job("never", hook="SyncFail"),
        marked(config("skipped"), hook="Skip"),
    )
    with argo(place, tmp_path) as running:
        cluster.make(APPS, place.app())
        until(lambda: "completion of hook Job prod/before" in place.message(), running)
        assert place.data("early") is None and place.state()[2] == "Running"
        done(cluster, "before")
        until(lambda: place.data("early") is not None, running)
        assert place.data("late") is None
        until(lambda: "completion of hook Job prod/after" in place.message(), running)
        assert place.data("late") and place.data("skipped") is None
        # It is ended in the middle, and goes on where it was: the first hook does not run again.
        uid = cluster.ask("GET", f"{JOBS}/before")[1]["metadata"]["uid"]
        running.process.kill()
        running.process.wait(10)
    with argo(place, tmp_path, name="two") as running:
        until(lambda: bool(running.said(message="lease acquired")), running)
        done(cluster, "after")
        synced(place, running)
        assert cluster.ask("GET", f"{JOBS}/before")[1]["metadata"]["uid"] == uid
        # One that is told to go with its success is gone; nobody has run what is for a failure.
        assert [cluster.ask("GET", f"{JOBS}/{name}")[0] for name in ("before", "after", "never")] == [200, 404, 404]
        results = place.get()["status"]["operationState"]["syncResult"]["resources"]
        assert [(one["name"], one["syncPhase"], one["hookPhase"]) for one in results] == [
            ("before", "PreSync", "Succeeded"),
            ("early", "Sync", "Succeeded"),
            ("late", "Sync", "Succeeded"),
            ("after", "PostSync", "Succeeded"),
        ]
        # What is healed is no new commit.
        cluster.ask("PATCH", f"{MAPS}/late", {"data": {"a": "changed"}})
        until(lambda: place.data("late") == {"a": "1"}, running)
        synced(place, running)
        assert cluster.ask("GET", f"{JOBS}/before")[1]["metadata"]["uid"] == uid


def done(cluster: Cluster, name: str, kind: str = "Complete") -> None:
    """Says of a Job what its controller would."""
    when = "2026-01-01T00:00:00Z"
    good = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[kind]
    conditions = [{"type": one, "status": "True", "lastTransitionTime": when} for one in (good, kind)]
    more = {"startTime": when, **({"completionTime": when} if kind == "Complete" else {})}
    code, said = cluster.ask("PATCH", f"{JOBS}/{name}/status", {"status": {"conditions": conditions, **more}})
    assert code == 200, said


def test_a_failed_hook_fails_the_sync_which_is_retried_up_to_its_limit(place: Place, tmp_path: Path) -> None:
    cluster = place.cluster
    place.put("apps/all.yaml", job("check", hook="PreSync"), config("x"), marked(config("sorry"), hook="SyncFail"))
    policy = {**AUTO, "retry": {"limit": 1, "backoff": {"duration": "1s", "factor": 1}}}
    with argo(place, tmp_path) as running:
        cluster.make(APPS, place.app(policy=policy))
        until(lambda: cluster.ask("GET", f"{JOBS}/check")[0] == 200, running)
        uid = cluster.ask("GET", f"{JOBS}/check")[1]["metadata"]["uid"]
        done(cluster, "check", "Failed")
        until(lambda: place.data("sorry") is not None, running)
        until(lambda: "retry 1 in 1 seconds" in place.message(), running)
        assert place.data("x") is None and place.state()[2] == "Running"

        def is_another() -> bool:
            code, value = cluster.ask("GET", f"{JOBS}/check")
            return code == 200 and value["metadata"]["uid"] != uid

        until(is_another, running)
        done(cluster, "check", "Failed")
        until(lambda: place.state()[2] == "Failed", running)
        assert place.data("x") is None and "unsuccessfully: Job prod/check" in place.message()
        until(lambda: "failed and is not repeated automatically" in place.told().get("SyncError", ""), running)
        # Somebody asks for it once more.
        place.sync(revision="main")
        until(lambda: place.state()[2] == "Running", running)
        until(lambda: "completion of hook" in place.message(), running)
        assert place.get()["status"]["operationState"]["operation"]["initiatedBy"] == {"username": "ann"}
        # And ends it.
        state = {"status": {"operationState": {"phase": "Terminating"}}}
        assert cluster.ask("PATCH", f"{APPS}/apps", state)[0] == 200
        until(lambda: place.message() == "Operation terminated", running)
        assert cluster.ask("GET", f"{JOBS}/check")[0] == 404 and "operation" not in place.get()


def test_a_refused_commit_changes_nothing_and_the_next_accepted_one_is_synced(place: Place, tmp_path: Path) -> None:
    place.put("apps/all.yaml", config("x"))
    with argo(place, tmp_path) as running:
        place.cluster.make(APPS, place.app())
        synced(place, running)
        place.put("apps/all.yaml", {**config("x", "2"), "dataa": {}})
        place.refresh()
        until(lambda: "Refused: apps/all.yaml:" in place.told().get("SyncError", ""), running)
        assert place.data("x") == {"a": "1"} and place.state()[::2] == ("OutOfSync", "Failed")
        assert any(reason == "Refused" for reason, _ in place.events())
        # Nobody comes past it by asking.
        place.sync()
        until(lambda: "operation" not in place.get(), running)
        assert place.message().startswith("Refused: ") and place.data("x") == {"a": "1"}
        place.put("apps/all.yaml", config("x", "3"))
        place.refresh("apps", "hard")
        until(lambda: place.data("x") == {"a": "3"}, running)
        synced(place, running)
        assert place.told() == {}


def test_a_running_sync_does_not_apply_a_refused_commit(place: Place, tmp_path: Path) -> None:
    cluster, first = place.cluster, place.put("apps/all.yaml", job("check", hook="PreSync"), config("x"))
    bad = job("check", hook="PreSync"), {**config("x", "2"), "dataa": {}}
    with argo(place, tmp_path) as running:
        cluster.make(APPS, place.app())
        until(lambda: "completion of hook" in place.message(), running)
        place.put("apps/all.yaml", *bad)
        place.refresh()
        until(lambda: "Refused" in place.told(), running)
        # It goes on with what it began with.
        done(cluster, "check")
        until(lambda: place.data("x") is not None, running)
        assert place.data("x") == {"a": "1"}
        until(lambda: place.state()[::2] == ("OutOfSync", "Failed"), running)
        assert place.get()["status"]["history"][-1]["revision"] == first and place.data("x") == {"a": "1"}
        place.put("apps/all.yaml", job("check", hook="PreSync"), config("x", "3"))
        place.refresh()
        until(lambda: place.state()[2] == "Running" and "completion of hook" in place.message(), running)
        running.process.kill()
        running.process.wait(10)
    # Whoever goes on for another knows the new commit alone: what runs is ended, and what is refused not begun.
    place.put("apps/all.yaml", *bad)
    with argo(place, tmp_path, name="two") as running:
        until(lambda: place.state()[2] == "Failed", running)
        done(cluster, "check")
        until(lambda: "Refused" in place.told(), running)
        assert place.data("x") == {"a": "1"}


def test_a_large_prune_waits_for_approval_and_the_last_object_is_kept(place: Place, tmp_path: Path) -> None:
    place.put("apps/all.yaml", *(config(name) for name in "abcd"))
    with argo(place, tmp_path) as running:
        place.cluster.make(APPS, place.app())
        synced(place, running)
        second = place.put("apps/all.yaml", config("a", "2"))
        place.refresh()
        until(lambda: "3 of 4 objects would be deleted" in place.told().get("PruneHeld", ""), running)
        until(lambda: place.data("a") == {"a": "2"}, running)
        assert all(place.data(name) for name in "bcd")
        approved = {"metadata": {"annotations": {"gatekeeper-gitops.io/approved-revision": second}}}
        place.cluster.ask("PATCH", f"{APPS}/apps", approved)
        until(lambda: not any(place.data(name) for name in "bcd"), running)
        synced(place, running)
        assert place.told() == {}
        place.put("apps/all.yaml")
        place.refresh()
        until(lambda: "allowEmpty" in place.told().get("SyncError", ""), running)
        assert place.data("a") == {"a": "2"}


def test_without_auto_sync_drift_and_new_commits_are_only_reported(place: Place, tmp_path: Path) -> None:
    place.put("apps/all.yaml", config("x"), marked(config("kept"), sync_options="Prune=false"), config("gone"))
    with argo(place, tmp_path) as running:
        place.cluster.make(APPS, place.app(policy={"syncOptions": BACKGROUND}))
        until(lambda: place.state() == ("OutOfSync", "Missing", ""), running)
        assert place.data("x") is None
        place.sync()
        synced(place, running)
        place.cluster.ask("PATCH", f"{MAPS}/x", {"data": {"a": "changed"}})
        until(lambda: place.state()[0] == "OutOfSync", running)
        assert place.data("x") == {"a": "changed"}
        # Fields that may differ do not count; and what is not in Git any more is told, too.
        ignore = [{"group": "", "kind": "ConfigMap", "name": "x", "jsonPointers": ["/data/a"]}]
        place.cluster.ask("PATCH", f"{APPS}/apps", {"spec": {"ignoreDifferences": ignore}})
        until(lambda: place.state()[0] == "Synced", running)
        place.put("apps/all.yaml", config("x", "2"))
        place.refresh()
        until(lambda: place.state()[0] == "OutOfSync", running)
        pruned = [one["name"] for one in place.get()["status"]["resources"] if one.get("requiresPruning")]
        assert sorted(pruned) == ["gone", "kept"]
        place.sync(prune=True, syncOptions=["RespectIgnoreDifferences=true"])
        until(lambda: place.data("gone") is None, running)
        until(
            lambda: place.state()[2] == "Succeeded" and place.get()["status"]["sync"]["status"] == "OutOfSync", running
        )
        assert place.data("kept") and place.data("x") == {"a": "changed"}


def test_a_deleted_application_deletes_its_objects_the_last_wave_first(place: Place, tmp_path: Path) -> None:
    place.put("apps/all.yaml", config("x"), marked(config("w"), sync_wave="3"))
    app = place.app()
    app["metadata"]["finalizers"] = ["resources-finalizer.argocd.argoproj.io/background"]
    with argo(place, tmp_path) as running:
        place.cluster.make(APPS, app)
        synced(place, running)
        place.cluster.ask("PATCH", f"{MAPS}/w", {"metadata": {"finalizers": ["example.com/held"]}})
        place.cluster.ask("DELETE", f"{APPS}/apps")
        until(lambda: "deletionTimestamp" in place.cluster.ask("GET", f"{MAPS}/w")[1]["metadata"], running)
        assert place.data("x") == {"a": "1"}
        place.cluster.ask("PATCH", f"{MAPS}/w", {"metadata": {"finalizers": None}})
        until(lambda: place.cluster.ask("GET", f"{APPS}/apps")[0] == 404, running)
        assert place.data("x") is None and place.data("w") is None


def test_pre_delete_and_post_delete_hooks_run_around_the_deletion(place: Place, tmp_path: Path) -> None:
    cluster = place.cluster
    place.put(
        "apps/all.yaml",
        config("x"),
        job("farewell", hook="PreDelete"),
        job("tidy", hook="PostDelete", hook_delete_policy="HookSucceeded"),
    )
    app = place.app()
    app["metadata"]["finalizers"] = ["resources-finalizer.argocd.argoproj.io/background"]

    def finalizers() -> list[str]:
        return place.get()["metadata"].get("finalizers") or []

    with argo(place, tmp_path) as running:
        cluster.make(APPS, app)
        synced(place, running)
        until(lambda: len(finalizers()) == 5, running)
        assert [cluster.ask("GET", f"{JOBS}/{name}")[0] for name in ("farewell", "tidy")] == [404, 404]
        cluster.ask("DELETE", f"{APPS}/apps")
        until(lambda: cluster.ask("GET", f"{JOBS}/farewell")[0] == 200, running)
        assert place.data("x") == {"a": "1"}
        # One that fails holds all up, and is told; what goes on is known to whoever comes next.
        done(cluster, "farewell", "Failed")
        until(lambda: "the hook Job prod/farewell failed" in place.told().get("DeletionError", ""), running)
        running.process.kill()
        running.process.wait(10)
        cluster.ask("DELETE", f"{JOBS}/farewell?propagationPolicy=Background")
    with argo(place, tmp_path, name="two") as running:
        until(lambda: cluster.ask("GET", f"{JOBS}/farewell")[0] == 200, running)
        done(cluster, "farewell")
        until(lambda: cluster.ask("GET", f"{JOBS}/tidy")[0] == 200, running)
        assert place.data("x") is None
        done(cluster, "tidy")
        until(lambda: cluster.ask("GET", f"{APPS}/apps")[0] == 404, running)
        assert cluster.ask("GET", f"{JOBS}/tidy")[0] == 404


def test_a_project_limits_what_an_application_may_deploy(place: Place, tmp_path: Path) -> None:
    place.put("apps/all.yaml", config("x"))
    cluster = place.cluster
    narrow = project(
        "narrow",
        sourceRepos=[f"file://{place.root}"],
        destinations=[{"server": "https://kubernetes.default.svc", "namespace": "prod"}],
        clusterResourceWhitelist=[],
        namespaceResourceBlacklist=[{"group": "", "kind": "Secret"}],
        syncWindows=[
            {"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["*"], "manualSync": True}
        ],
    )
    with argo(place, tmp_path) as running:
        cluster.make(APPS, place.app(project="nobody"))
        until(lambda: "AppProject argocd/nobody not found" in place.told().get("ComparisonError", ""), running)
        cluster.make(PROJECTS, narrow)
        cluster.ask("PATCH", f"{APPS}/apps", {"spec": {"project": "narrow"}})
        # It may be, but not by itself now.
        until(lambda: place.state() == ("OutOfSync", "Missing", ""), running)
        place.sync()
        until(lambda: place.data("x") is not None, running)
        for wish, words in (
            (config("x", namespace="argocd"), "ConfigMap argocd/x: the project narrow does not permit"),
            (
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mine"}},
                "Namespace mine: the project narrow does not permit this kind of the core group",
            ),
            (
                {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}},
                "Secret prod/s: the project narrow does not permit this kind of the core group",
            ),
        ):
            place.put("apps/all.yaml", wish)
            place.refresh()
            until(partial(_is_told, place, words), running)
        cluster.ask("PATCH", f"{APPS}/apps", {"spec": {"source": {"repoURL": "file:///elsewhere"}}})
        until(partial(_is_told, place, "/elsewhere"), running)
        assert place.data("x") == {"a": "1"}


def test_an_application_can_apply_applications(place: Place, tmp_path: Path) -> None:
    child = place.app("child")
    place.put("child/all.yaml", config("c"))
    place.put("apps/all.yaml", child)
    with argo(place, tmp_path) as running:
        place.cluster.make(
            APPS, place.app(destination={"server": "https://kubernetes.default.svc", "namespace": "argocd"})
        )
        synced(place, running)
        synced(place, running, "child")
        assert place.data("c") == {"a": "1"}
        # What is told in the child is no drift of its parent; what somebody changes in it is.
        assert not any(reason == "DriftCorrected" for reason, _ in place.events())
        place.cluster.ask("PATCH", f"{APPS}/child", {"spec": {"project": "other"}})
        until(lambda: place.get("child")["spec"]["project"] == "default", running)
        synced(place, running, "child")


def _is_told(place: Place, words: str) -> bool:
    return words in place.told().get("ComparisonError", "")
