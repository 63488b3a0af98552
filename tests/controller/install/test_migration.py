"""The migration of docs/controller.md, from an installation in `gatekeeper-system`, with kubectl and a real API server."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.controller.install.test_manifests import ALL, IMAGE, PLACES, printed
from tests.sealedsecrets.test_kubeseal_compatibility import pair
from tests.servers import cluster as servers
from tests.servers.cluster import Cluster

PAGE = Path(__file__).parents[3] / "docs" / "controller.md"
OLD, NEW = "gatekeeper-system", "gatekeeper-gitops"
KEY_LABEL = "sealedsecrets.bitnami.com/sealed-secrets-key"
HEAD = "12:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
# Some lines look like metadata: data is copied as it is.
POLICIES = {"gatekeeper.yaml": "library: {}\n", "own.rego": "package main\n  uid: 1\n  namespace: a\n"}
# What OPA Gatekeeper has in the same namespace.
FOREIGN = {"services": "gatekeeper-webhook-service", "serviceaccounts": "gatekeeper-admin", "secrets": "gatekeeper-webhook-server-cert"}  # fmt: skip


def read_blocks() -> list[str]:
    """The commands of the migration, block by block."""
    section = PAGE.read_text().partition("### Migrate from the namespace gatekeeper-system\n")[2].partition("\n## ")[0]
    return [block.replace("\n   ", "\n") for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL)]


def rename(value: dict[str, Any]) -> dict[str, Any]:
    """A manifest of today as the last version before the move printed it; only the names differ."""
    text = yaml.safe_dump(value).replace("validate.gatekeeper-gitops.io", "validate.io")
    text = re.sub(r"namespace: gatekeeper-gitops$", f"namespace: {OLD}", text, flags=re.MULTILINE)
    renamed: dict[str, Any] = yaml.safe_load(
        text.replace(NEW, "gatekeeper").replace("validate.io", "validate.gatekeeper-gitops.io")
    )
    return renamed


def create_path(value: dict[str, Any]) -> str:
    plural = "networkpolicies" if value["kind"] == "NetworkPolicy" else f"{value['kind'].lower()}s"
    namespace = value["metadata"].get("namespace")
    return f"{PLACES[value['kind']]}{f'/namespaces/{namespace}' if namespace else ''}/{plural}"


def find(cluster: Cluster, value: dict[str, Any]) -> bool:
    return bool(cluster.ask("GET", f"{create_path(value)}/{value['metadata']['name']}")[0] == 200)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with an old installation of all controllers, and OPA Gatekeeper beside it."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on the PATH; `make test` does not build it")
    folder = tmp_path_factory.mktemp("cluster")
    with servers.running(folder) as found:
        for name in (OLD, "argocd"):
            found.make("/api/v1/namespaces", {"metadata": {"name": name}})
        for value in printed("--controllers", ALL):
            # A webhook without Pods refuses every change; the API server would ask it here, too.
            old = rename(value)
            if old["kind"] == "ValidatingWebhookConfiguration":
                old["webhooks"][0]["failurePolicy"] = "Ignore"
            found.make(create_path(old), old)
        home = f"/api/v1/namespaces/{OLD}"
        found.make(f"{home}/configmaps", {"metadata": {"name": "gatekeeper-policies"}, "data": POLICIES})
        certificate, key = pair(folder)
        data = {
            name: base64.b64encode(file.read_bytes()).decode()
            for name, file in (("tls.crt", certificate), ("tls.key", key))
        }
        for name in ("one", "two"):
            meta = {"name": f"sealed-secrets-key-{name}", "labels": {KEY_LABEL: "active"}}
            found.make(f"{home}/secrets", {"metadata": meta, "type": "kubernetes.io/tls", "data": data})
        meta = {"name": "gatekeeper", "annotations": {"gatekeeper-gitops.io/audit-head": HEAD}}
        found.make(f"/apis/coordination.k8s.io/v1/namespaces/{OLD}/leases", {"metadata": meta})
        for plural, name in FOREIGN.items():
            spec = {"spec": {"ports": [{"port": 443}]}} if plural == "services" else {}
            found.make(f"{home}/{plural}", {"metadata": {"name": name}, **spec})
        yield found


def test_the_commands_of_the_page_move_everything_and_leave_opa_gatekeeper_alone(
    cluster: Cluster, tmp_path: Path
) -> None:
    programs, kube = tmp_path / "bin", tmp_path / ".kube"
    programs.mkdir()
    kube.mkdir()
    (programs / "gatekeeper").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gatekeeper "$@"\n')
    (programs / "gatekeeper").chmod(0o755)
    shutil.copy(cluster.kubeconfig, kube / "config")
    root = Path(__file__).parents[3]
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(root),
    }
    environment.pop("KUBECONFIG", None)
    blocks = read_blocks()
    assert len(blocks) == 8
    outputs = []
    for block in blocks:
        # The page names two controllers; here all move.
        script = block.replace("--controllers flux,sealed", f"--controllers {ALL}")
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        outputs.append(done.stdout)
    assert outputs[3] == HEAD
    for value in printed("--controllers", ALL):
        assert find(cluster, value), value["metadata"]
        assert not find(cluster, rename(value)), value["metadata"]
    assert cluster.ask("GET", f"/api/v1/namespaces/{NEW}/configmaps/gatekeeper-policies")[1]["data"] == POLICIES
    keys = cluster.ask("GET", f"/api/v1/namespaces/{NEW}/secrets?labelSelector={KEY_LABEL}%3Dactive")[1]["items"]
    assert {key["metadata"]["name"] for key in keys} == {"sealed-secrets-key-one", "sealed-secrets-key-two"}
    assert all({"tls.crt", "tls.key"} == set(key["data"]) and key["type"] == "kubernetes.io/tls" for key in keys)
    for plural in ("services", "serviceaccounts", "secrets", "configmaps"):
        left = cluster.ask("GET", f"/api/v1/namespaces/{OLD}/{plural}")[1]["items"]
        names = {one["metadata"]["name"] for one in left} - {"kube-root-ca.crt"}
        assert names == ({FOREIGN[plural]} if plural in FOREIGN else set())
    assert IMAGE in str(cluster.ask("GET", f"/apis/apps/v1/namespaces/{NEW}/deployments")[1]["items"])
