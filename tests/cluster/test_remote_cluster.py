"""Health expressions, and objects that are applied to another cluster, with the controller and real API servers."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatekeeper.cluster import remote_cluster
from gatekeeper.errors import ToolError
from gatekeeper.secret_value import SecretBytes
from tests.controller.deployment import controller, until
from tests.controller.flux.test_controller import CRDS, KUSTOMIZATIONS, MAPS, REPOSITORIES, Place
from tests.flux.test_reconciler import CRD, FLUX, GIT, SOURCES, config, flux
from tests.servers import cluster as servers
from tests.servers.cluster import Cluster

SECRETS = "/api/v1/namespaces/flux-system/secrets"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with servers.running(tmp_path_factory.mktemp("cluster")) as found:
        for one in (CRD, SOURCES):
            found.make(CRDS, one)
        for path in (f"{FLUX}/kustomizations", f"{GIT}/gitrepositories"):
            found.wait(path)
        for name in ("flux-system", "prod"):
            found.make("/api/v1/namespaces", {"metadata": {"name": name}})
        yield found


def test_one_controller_applies_to_another_cluster_with_the_rights_that_count_there(
    cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "far").mkdir()
    with servers.running(tmp_path / "far") as far, controller(cluster, tmp_path) as running:
        far.make("/api/v1/namespaces", {"metadata": {"name": "prod"}})
        place = Place(tmp_path / "root", cluster)
        place.put("apps/all.yaml", config("x"))
        value = yaml.safe_load(far.kubeconfig.read_text())
        # What is in a Secret names no files.
        known = value["clusters"][0]["cluster"]
        known["certificate-authority-data"] = base64.b64encode(
            Path(known.pop("certificate-authority")).read_bytes()
        ).decode()
        cluster.make(REPOSITORIES, place.source)
        cluster.make(KUSTOMIZATIONS, flux(kubeConfig={"secretRef": {"name": "far"}}, retryInterval="1s", wait=True))
        until(lambda: "kubeconfig Secret flux-system/far not found: create it" in place.ready()[2], running)
        cluster.make(SECRETS, {"metadata": {"name": "far"}, "stringData": {"value": yaml.safe_dump(value)}})
        until(lambda: place.ready()[0] == "True", running)
        assert far.ask("GET", f"{MAPS}/x")[1]["data"] == {"a": "1"} and place.data("x") is None
        # As an account that has no rights there.
        cluster.ask("PATCH", f"{KUSTOMIZATIONS}/apps", {"spec": {"serviceAccountName": "nobody"}})
        until(lambda: "cannot get resource" in place.ready()[2], running)
        cluster.ask("PATCH", f"{KUSTOMIZATIONS}/apps", {"spec": {"serviceAccountName": None}})
        until(lambda: place.ready()[0] == "True", running)
        cluster.ask("DELETE", f"{KUSTOMIZATIONS}/apps")
        until(lambda: far.ask("GET", f"{MAPS}/x")[0] == 404, running)
        cluster.ask("DELETE", f"{REPOSITORIES}/r")


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("user", "exec", {"command": "/bin/sh", "apiVersion": "client.authentication.k8s.io/v1"}),
        ("user", "tokenFile", "/var/run/secrets/kubernetes.io/serviceaccount/token"),
        ("user", "client-key", "/etc/key"),
        ("user", "auth-provider", {"name": "x"}),
        ("cluster", "certificate-authority", "/etc/passwd"),
    ],
)
def test_a_kubeconfig_in_a_secret_runs_and_reads_nothing_of_this_machine(part: str, field: str, value: Any) -> None:
    whole: dict[str, Any] = {
        "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "a", "user": {"token": "t"}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    whole[f"{part}s"][0][part][field] = value
    with pytest.raises(ToolError, match=f"`{field}` is not allowed in a kubeconfig from a Secret"):
        remote_cluster.open_cluster(SecretBytes(yaml.safe_dump(whole).encode()), "the Secret s")
    for text in (b"x", b"[]", b"{", b"{}", b"clusters: []"):
        with pytest.raises(ToolError):
            remote_cluster.open_cluster(SecretBytes(text), "the Secret s")


def test_expressions_define_readiness_of_objects_and_dependencies(cluster: Cluster, tmp_path: Path) -> None:
    place = Place(tmp_path / "root", cluster)
    place.put("apps/all.yaml", config("x"))
    place.put("base/all.yaml", config("b"))
    rule = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "current": "has(metadata.annotations) && metadata.annotations['done'] == 'yes'",
        "failed": "data.a == 'broken'",
    }
    ready = "dep.metadata.labels['stage'] == self.metadata.labels['stage']"
    first = flux("base", wait=True, healthCheckExprs=[rule], retryInterval="1s")
    second = flux(dependsOn=[{"name": "base", "readyExpr": ready}], retryInterval="1s")
    second["metadata"]["labels"] = {"stage": "two"}
    with controller(cluster, tmp_path) as running:
        for path, value in ((REPOSITORIES, place.source), (KUSTOMIZATIONS, first), (KUSTOMIZATIONS, second)):
            cluster.make(path, value)
        until(lambda: place.ready("base")[:2] == ("Unknown", "Progressing"), running)
        until(lambda: "`readyExpr` evaluates to" in place.ready()[2], running)
        cluster.ask("PATCH", f"{MAPS}/b", {"metadata": {"annotations": {"done": "yes"}}})
        until(lambda: place.ready("base")[0] == "True", running)
        assert place.data("x") is None
        cluster.ask("PATCH", f"{KUSTOMIZATIONS}/base", {"metadata": {"labels": {"stage": "two"}}})
        until(lambda: place.data("x") == {"a": "1"}, running, 60)
