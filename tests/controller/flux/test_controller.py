"""The controller on Flux's resources, against a real API server and real git: new commits, drift, dependencies and pruning."""

from __future__ import annotations

import hashlib
import hmac
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import SHARED, shared
from tests.controller.deployment import controller, until
from tests.flux.test_reconciler import CRD, FLUX, GIT, SOURCES, config, flux
from tests.servers import cluster as servers
from tests.servers import git_server
from tests.servers.cluster import Cluster

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
HOOKS = "/apis/notification.toolkit.fluxcd.io/v1"
PARTS = {"kind": "Receiver", "plural": "receivers", "singular": "receiver", "listKind": "ReceiverList"}
RECEIVERS: dict[str, Any] = {
    **CRD,
    "metadata": {"name": "receivers.notification.toolkit.fluxcd.io"},
    "spec": {**CRD["spec"], "group": "notification.toolkit.fluxcd.io", "names": PARTS},
}
MAPS = "/api/v1/namespaces/prod/configmaps"
KUSTOMIZATIONS = f"{FLUX}/namespaces/flux-system/kustomizations"
REPOSITORIES = f"{GIT}/namespaces/flux-system/gitrepositories"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with servers.running(tmp_path_factory.mktemp("cluster")) as found:
        for one in (CRD, SOURCES, RECEIVERS):
            found.make(CRDS, one)
        for path in (f"{FLUX}/kustomizations", f"{GIT}/gitrepositories", f"{HOOKS}/receivers"):
            found.wait(path)
        for name in ("flux-system", "prod"):
            found.make("/api/v1/namespaces", {"metadata": {"name": name}})
        yield found


class Place:
    """A repository that a GitRepository of the cluster names."""

    def __init__(self, root: Path, cluster: Cluster) -> None:
        self.root, self.cluster = root, cluster
        subprocess.run(["git", "init", "-q", "-b", "main", root], check=True)
        self.put("gatekeeper.yaml", {"library": {"profile": "off"}})
        spec = {"interval": "1h", "url": f"file://{root}", "ref": {"branch": "main"}}
        meta = {"name": "r", "namespace": "flux-system"}
        self.source: dict[str, Any] = {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "GitRepository",
            "metadata": meta,
            "spec": spec,
        }

    def put(self, file: str, *values: dict[str, Any]) -> str:
        """Writes and commits a file; the commit."""
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump_all(values))
        git = ["git", "-C", str(self.root), "-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-qm", "x"], check=True)
        return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()

    def data(self, name: str) -> Any:
        code, value = self.cluster.ask("GET", f"{MAPS}/{name}")
        return value["data"] if code == 200 else None

    def ready(self, name: str = "apps") -> tuple[str, str, str]:
        """Status, reason and message of a Kustomization's condition `Ready`."""
        return ready_of(self.cluster.ask("GET", f"{KUSTOMIZATIONS}/{name}")[1])

    def nudge(self, path: str) -> None:
        """Asks for a round, as `flux reconcile` does."""
        when = {"reconcile.fluxcd.io/requestedAt": str(time.time())}
        assert self.cluster.ask("PATCH", path, {"metadata": {"annotations": when}})[0] == 200

    def events(self) -> list[tuple[str, str]]:
        held = self.cluster.ask("GET", "/api/v1/namespaces/flux-system/events")[1]["items"]
        return [(one["reason"], one["message"]) for one in held]


def ready_of(value: Any) -> tuple[str, str, str]:
    held = [one for one in (value.get("status") or {}).get("conditions") or () if one["type"] == "Ready"]
    return (held[0]["status"], held[0]["reason"], held[0]["message"]) if held else ("", "", "")


@pytest.fixture
def place(cluster: Cluster, tmp_path: Path) -> Iterator[Place]:
    yield Place(tmp_path / "root", cluster)
    for path in (KUSTOMIZATIONS, REPOSITORIES, f"{HOOKS}/namespaces/flux-system/receivers"):
        for one in cluster.ask("GET", path)[1]["items"]:
            cluster.ask("PATCH", f"{path}/{one['metadata']['name']}", {"metadata": {"finalizers": None}})
        cluster.ask("DELETE", path)
    for path in ("/api/v1/namespaces/flux-system/events", MAPS):
        cluster.ask("DELETE", path)


def test_commit_is_applied_and_drift_is_corrected(place: Place, tmp_path: Path) -> None:
    cluster = place.cluster
    first = place.put("apps/all.yaml", config("x"), config("w"))
    with controller(cluster, tmp_path) as running:
        cluster.make(REPOSITORIES, place.source)
        cluster.make(KUSTOMIZATIONS, flux(wait=True))
        until(lambda: place.ready()[0] == "True", running)
        value = cluster.ask("GET", f"{KUSTOMIZATIONS}/apps")[1]
        assert value["status"]["lastAppliedRevision"] == f"main@sha1:{first}"
        assert value["metadata"]["finalizers"] == ["finalizers.fluxcd.io"]
        assert value["status"]["history"][0]["lastReconciledStatus"] == "ReconciliationSucceeded"
        assert [one["type"] for one in value["status"]["conditions"]] == ["Ready", "Healthy"]
        source = cluster.ask("GET", f"{REPOSITORIES}/r")[1]
        assert source["status"]["artifact"]["revision"] == f"main@sha1:{first}" and ready_of(source)[0] == "True"
        assert "finalizers" not in source["metadata"] and "annotations" not in source["metadata"]
        # Somebody changes a value, adds one, deletes an object: each is put right, and told with who it was.
        held = cluster.ask("GET", f"{MAPS}/x")[1]
        cluster.ask("PUT", f"{MAPS}/x?fieldManager=kubectl-edit", {**held, "data": {"a": "changed"}})
        until(lambda: place.data("x") == {"a": "1"}, running)
        cluster.ask("DELETE", f"{MAPS}/w")
        until(lambda: place.data("w") == {"a": "1"}, running)
        drift = ("DriftCorrected", "ConfigMap prod/x was changed by kubectl-edit: data.a")
        until(lambda: drift in place.events(), running)
        until(lambda: ("DriftCorrected", "ConfigMap prod/w was deleted") in place.events(), running)
        # A new commit, asked for.
        second = place.put("apps/all.yaml", config("x", "2"))
        place.nudge(f"{REPOSITORIES}/r")
        until(lambda: place.data("x") == {"a": "2"} and place.data("w") is None, running)
        until(lambda: place.ready()[2] == f"Applied revision: main@sha1:{second}", running)
        code, text = running.ask("/metrics")
        assert (
            code == 200 and b'controller_runtime_reconcile_total{controller="Kustomization",result="success"}' in text
        )
        assert b'gatekeeper_drift_total{kind="ConfigMap"}' in text
        assert running.ask("/healthz")[0] == running.ask("/readyz")[0] == 200 and running.ask("/else")[0] == 404
        # It is deleted, and what it has applied goes with it.
        cluster.ask("DELETE", f"{KUSTOMIZATIONS}/apps")
        until(lambda: cluster.ask("GET", f"{KUSTOMIZATIONS}/apps")[0] == 404, running)
        assert place.data("x") is None
        assert running.stop() == 0 and running.said(message="stopped")


def test_object_deleted_during_the_wait_is_applied_again(place: Place, tmp_path: Path) -> None:
    cluster = place.cluster
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "c", "namespace": "prod"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    place.put("apps/all.yaml", config("x"), claim)
    claims = "/api/v1/namespaces/prod/persistentvolumeclaims/c"
    with controller(cluster, tmp_path) as running:
        cluster.make(REPOSITORIES, place.source)
        cluster.make(KUSTOMIZATIONS, flux(wait=True))
        # Nobody binds the claim here: it is waited for.
        until(lambda: place.ready()[:2] == ("Unknown", "Progressing"), running)
        cluster.ask("DELETE", f"{MAPS}/x")
        until(lambda: place.data("x") == {"a": "1"}, running)
        assert place.ready()[1] == "Progressing"
        cluster.ask("PATCH", f"{claims}/status", {"status": {"phase": "Bound"}})
        until(lambda: place.ready()[0] == "True", running)
    cluster.ask("PATCH", claims, {"metadata": {"finalizers": None}})
    cluster.ask("DELETE", claims)


def test_drift_is_reported_or_ignored_if_the_kustomization_requests_it(place: Place, tmp_path: Path) -> None:
    cluster = place.cluster
    place.put("apps/all.yaml", config("x"), config("w"))
    value = flux(ignore=[{"paths": ["/data/a"], "target": {"kind": "ConfigMap", "name": "w.*"}}])
    value["metadata"]["annotations"] = {"gatekeeper-gitops.io/drift": "report"}
    with controller(cluster, tmp_path) as running:
        cluster.make(REPOSITORIES, place.source)
        cluster.make(KUSTOMIZATIONS, value)
        until(lambda: place.ready()[0] == "True", running)
        for name in ("x", "w"):
            held = cluster.ask("GET", f"{MAPS}/{name}")[1]
            cluster.ask("PUT", f"{MAPS}/{name}?fieldManager=kubectl-edit", {**held, "data": {"a": "changed"}})
        told = ("DriftDetected", "ConfigMap prod/x was changed by kubectl-edit: data.a")
        until(lambda: told in place.events(), running)
        assert place.data("x") == place.data("w") == {"a": "changed"} and place.ready()[0] == "True"
        # With the word away it is put right; what may differ is not, with a new commit either.
        cluster.ask(
            "PATCH", f"{KUSTOMIZATIONS}/apps", {"metadata": {"annotations": {"gatekeeper-gitops.io/drift": None}}}
        )
        until(lambda: place.data("x") == {"a": "1"}, running)
        place.put("apps/all.yaml", config("x", "2"), config("w", "2"))
        place.nudge(f"{REPOSITORIES}/r")
        until(lambda: place.data("x") == {"a": "2"} and place.ready()[0] == "True", running)
        assert place.data("w") == {"a": "changed"}


def test_new_dependencies_and_values_in_the_cluster_trigger_a_reconcile(place: Place, tmp_path: Path) -> None:
    cluster = place.cluster
    place.put("base/all.yaml", config("b"))
    place.put("apps/all.yaml", config("x", "${region} ${token}"))
    values = [{"kind": "ConfigMap", "name": "region"}, {"kind": "Secret", "name": "token"}]
    waits = flux(dependsOn=[{"name": "base"}], postBuild={"substituteFrom": values}, retryInterval="1s", interval="2s")
    with controller(cluster, tmp_path) as running:
        cluster.make(REPOSITORIES, place.source)
        cluster.make(KUSTOMIZATIONS, waits)
        until(lambda: place.ready()[1:] == ("DependencyNotReady", "dependency 'flux-system/base' not found"), running)
        cluster.make(KUSTOMIZATIONS, flux("base"))
        until(lambda: "ConfigMap region not found: create it, or set `optional: true`" in place.ready()[2], running)
        meta = {"namespace": "flux-system"}
        cluster.make(
            "/api/v1/namespaces/flux-system/configmaps",
            {"metadata": {**meta, "name": "region"}, "data": {"region": "eu"}},
        )
        secret = {"metadata": {**meta, "name": "token"}, "stringData": {"token": "s3cr3t-of-the-test"}}
        cluster.make("/api/v1/namespaces/flux-system/secrets", secret)
        until(lambda: place.data("x") == {"a": "eu s3cr3t-of-the-test"}, running)
        cluster.ask("PATCH", "/api/v1/namespaces/flux-system/configmaps/region", {"data": {"region": "us"}})
        until(lambda: place.data("x") == {"a": "us s3cr3t-of-the-test"}, running)
        assert "s3cr3t" not in running.log.read_text() and "s3cr3t" not in str(place.events())
    for path in ("configmaps", "secrets"):
        cluster.ask("DELETE", f"/api/v1/namespaces/flux-system/{path}")


def test_a_refused_commit_changes_nothing_and_the_next_good_one_does(place: Place, tmp_path: Path) -> None:
    place.put("apps/all.yaml", config("x"))
    log = tmp_path / "audit.jsonl"
    with controller(place.cluster, tmp_path, "--audit", log) as running:
        place.cluster.make(REPOSITORIES, place.source)
        place.cluster.make(KUSTOMIZATIONS, flux())
        until(lambda: place.ready()[0] == "True", running)
        place.put("apps/all.yaml", {**config("x", "2"), "dataa": {}})
        place.nudge(f"{REPOSITORIES}/r")
        until(lambda: place.ready()[1] == "Refused", running)
        assert "apps/all.yaml:" in place.ready()[2] and place.data("x") == {"a": "1"}
        third = place.put("apps/all.yaml", config("x", "3"))
        place.nudge(f"{REPOSITORIES}/r")
        until(lambda: place.data("x") == {"a": "3"} and place.ready()[0] == "True", running)
        until(lambda: third in log.read_text().splitlines()[-1], running)
    from gatekeeper.controller.runtime import audit_log

    count, fault = audit_log.verify_chain(audit_log.read_lines(log))
    assert fault is None and count == 5


def test_included_files_of_another_repository_trigger_a_reconcile(place: Place, tmp_path: Path) -> None:
    cluster = place.cluster
    other = Place(tmp_path / "other", cluster)
    other.put("deep/shared.yaml", config("shared"))
    place.put("apps/all.yaml", config("x"))
    meta = {"name": "other", "namespace": "flux-system"}
    include = [{"repository": {"name": "other"}, "fromPath": "deep", "toPath": "apps/more"}]
    with controller(cluster, tmp_path) as running:
        cluster.make(REPOSITORIES, {**place.source, "spec": {**place.source["spec"], "include": include}})
        cluster.make(KUSTOMIZATIONS, flux())
        until(
            lambda: (
                "the included GitRepository flux-system/other was not found"
                in ready_of(cluster.ask("GET", f"{REPOSITORIES}/r")[1])[2]
            ),
            running,
        )
        cluster.make(REPOSITORIES, {**other.source, "metadata": meta})
        place.nudge(f"{REPOSITORIES}/r")
        until(lambda: place.data("shared") == {"a": "1"} and place.data("x") == {"a": "1"}, running)
        other.put("deep/shared.yaml", config("shared", "2"))
        place.nudge(f"{REPOSITORIES}/other")
        until(lambda: place.data("shared") == {"a": "2"}, running)
        assert place.data("x") == {"a": "1"}


def test_webhook_with_a_valid_signature_triggers_a_refresh(place: Place, tmp_path: Path) -> None:
    cluster = place.cluster
    place.put("apps/all.yaml", config("x"))
    with controller(cluster, tmp_path) as running:
        cluster.make(REPOSITORIES, place.source)
        cluster.make(KUSTOMIZATIONS, flux())
        meta = {"name": "hook", "namespace": "flux-system"}
        cluster.make("/api/v1/namespaces/flux-system/secrets", {"metadata": meta, "stringData": {"token": "abc"}})
        spec = {"type": "github", "secretRef": {"name": "hook"}, "resources": [{"kind": "GitRepository", "name": "r"}]}
        cluster.make(
            f"{HOOKS}/namespaces/flux-system/receivers",
            {"apiVersion": "notification.toolkit.fluxcd.io/v1", "kind": "Receiver", "metadata": meta, "spec": spec},
        )
        until(lambda: place.ready()[0] == "True", running)
        path = f"/hook/{hashlib.sha256(b'abchookflux-system').hexdigest()}"
        place.put("apps/all.yaml", config("x", "2"))
        body = b'{"ref": "refs/heads/main"}'
        assert running.ask("/hook/abc", body)[0] == 404
        assert running.ask(path, body, {"X-Hub-Signature-256": "sha256=0"})[0] == 404 and place.data("x") == {"a": "1"}
        signed = {"X-Hub-Signature-256": f"sha256={hmac.new(b'abc', body, 'sha256').hexdigest()}"}
        until(lambda: running.ask(path, body, signed)[0] == 200, running)
        until(lambda: place.data("x") == {"a": "2"}, running)
    cluster.ask("DELETE", "/api/v1/namespaces/flux-system/secrets")


def test_another_replica_takes_over_and_only_one_works(place: Place, tmp_path: Path) -> None:
    cluster = place.cluster
    place.put("apps/all.yaml", config("x"))
    cluster.make(REPOSITORIES, place.source)
    cluster.make(KUSTOMIZATIONS, flux())
    with controller(cluster, tmp_path, "-n", "prod") as first:
        until(lambda: place.ready()[0] == "True", first)
        with controller(cluster, tmp_path, "-n", "prod", name="two") as second:
            until(lambda: second.ask("/readyz")[0] == 200, second)
            assert not second.said(message="lease acquired")
            began = time.monotonic()
            first.process.kill()
            first.process.wait(10)
            cluster.ask("DELETE", f"{MAPS}/x")
            until(lambda: place.data("x") == {"a": "1"}, second)
            assert time.monotonic() - began < 25
            # Whoever is told to stop hands over at once.
            with controller(cluster, tmp_path, "-n", "prod", name="three") as third:
                assert second.stop() == 0
                until(lambda: bool(third.said(message="lease acquired")), third, 8)


@shared("article")
def test_flux_resources_of_the_article_are_followed_unchanged(tmp_path: Path) -> None:
    """Its GitRepository and Kustomization, verbatim but for the address of the repository, of the version that they are."""
    (tmp_path / "cluster").mkdir()
    old = [{**one["spec"]["versions"][0], "name": "v1beta1"} for one in (CRD, SOURCES)]
    with servers.running(tmp_path / "cluster") as cluster, git_server.serving(tmp_path) as host:
        for one, version in zip((CRD, SOURCES), old, strict=True):
            cluster.make(CRDS, {**one, "spec": {**one["spec"], "versions": [version]}})
        for path in (
            "kustomize.toolkit.fluxcd.io/v1beta1/kustomizations",
            "source.toolkit.fluxcd.io/v1beta1/gitrepositories",
        ):
            cluster.wait(f"/apis/{path}")
        for name in ("flux-system", "production", "default"):
            if cluster.ask("GET", f"/api/v1/namespaces/{name}")[0] == 404:
                cluster.make("/api/v1/namespaces", {"metadata": {"name": name}})
        place = Place(tmp_path / "app-manifests", cluster)
        for part in ("base", "overlays"):
            shutil.copytree(SHARED / "article" / part, place.root / part)
        place.put(
            "clusters/production/kustomization.yaml",
            {"namespace": "default", "resources": ["../../overlays/production"]},
        )
        source, kustomization = yaml.safe_load_all((SHARED / "article/flux-system/gotk-sync.yaml").read_text())
        source["spec"]["url"] = f"{host.url}/app-manifests/.git"
        login = {"username": git_server.USER, "password": git_server.PASSWORD}
        secrets = "/api/v1/namespaces/flux-system/secrets"
        cluster.make(secrets, {"metadata": {"name": "github-credentials"}, "stringData": login})
        with controller(cluster, tmp_path) as running:
            cluster.make("/apis/source.toolkit.fluxcd.io/v1beta1/namespaces/flux-system/gitrepositories", source)
            there = "/apis/kustomize.toolkit.fluxcd.io/v1beta1/namespaces/flux-system/kustomizations"
            cluster.make(there, kustomization)
            until(lambda: ready_of(cluster.ask("GET", f"{there}/apps")[1])[0] != "", running)
            # A Deployment of the article lacks its selector: that is told with its place, and nothing is applied.
            status, reason, message = ready_of(cluster.ask("GET", f"{there}/apps")[1])
            assert (status, reason) == ("False", "Refused") and "base/deployment.yaml:6: schema/required" in message
            base = place.root / "base" / "deployment.yaml"
            value = yaml.safe_load(base.read_text())
            labels = value["spec"]["template"].setdefault("metadata", {}).setdefault("labels", {"app": "webapp"})
            value["spec"]["selector"] = {"matchLabels": labels}
            place.put("base/deployment.yaml", value)
            when = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}}
            cluster.ask(
                "PATCH",
                "/apis/source.toolkit.fluxcd.io/v1beta1/namespaces/flux-system/gitrepositories/app-manifests",
                when,
            )
            until(lambda: ready_of(cluster.ask("GET", f"{there}/apps")[1])[1] != "Refused", running)
            status, reason, message = ready_of(cluster.ask("GET", f"{there}/apps")[1])
            assert (status, reason) == ("True", "ReconciliationSucceeded"), message
            assert git_server.PASSWORD not in running.log.read_text()
