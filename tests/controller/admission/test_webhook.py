"""The admission webhook behind a real API server, and the background scan."""

from __future__ import annotations

import base64
import datetime
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from gatekeeper.controller.admission import certificates
from tests.conftest import command
from tests.controller.admission.test_review import POD, repository
from tests.controller.deployment import Running, controller, until
from tests.servers import cluster as servers
from tests.servers.cluster import Cluster, free_port

HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
PODS = "/api/v1/namespaces/prod/pods"
REPORTS = "/apis/wgpolicyk8s.io/v1alpha2"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with servers.running(tmp_path_factory.mktemp("cluster")) as found:
        found.make("/api/v1/namespaces", {"metadata": {"name": "prod"}})
        for kind, plural, scope in (
            ("PolicyReport", "policyreports", "Namespaced"),
            ("ClusterPolicyReport", "clusterpolicyreports", "Cluster"),
        ):
            names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
            schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
            version = {"name": "v1alpha2", "served": True, "storage": True, "schema": schema}
            spec = {"group": "wgpolicyk8s.io", "scope": scope, "names": names, "versions": [version]}
            found.make(
                "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                {
                    "apiVersion": "apiextensions.k8s.io/v1",
                    "kind": "CustomResourceDefinition",
                    "metadata": {"name": f"{plural}.wgpolicyk8s.io"},
                    "spec": spec,
                },
            )
        found.wait(f"{REPORTS}/policyreports")
        yield found
        found.ask("DELETE", f"{HOOKS}/gatekeeper-gitops")


def hook(cluster: Cluster, port: int, policy: str = "Fail") -> None:
    """The configuration that tells the API server to ask, as `controller manifests` has it, by address."""
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"]}]
    one = {
        "name": "validate.gatekeeper-gitops.io",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "rules": rules,
        "clientConfig": {"url": f"https://127.0.0.1:{port}/validate"},
        "failurePolicy": policy,
        "timeoutSeconds": 5,
    }
    cluster.make(HOOKS, {"metadata": {"name": "gatekeeper-gitops"}, "webhooks": [one]})


def served(running: Running, port: int) -> x509.Certificate:
    """The certificate that a webhook shows."""
    del running
    return x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", port), timeout=5).encode())


def test_an_api_server_stores_only_accepted_objects_and_older_ones_are_reported(
    cluster: Cluster, tmp_path: Path
) -> None:
    port = free_port()
    # It is in the cluster before anybody is asked.
    early = {"metadata": {"name": "early"}, "spec": {"containers": [{"name": "c", "image": "old:latest"}]}}
    cluster.make(PODS, early)
    hook(cluster, port)
    where = ("--webhook-listen", f"127.0.0.1:{port}", "--webhook-host", "127.0.0.1", "-n", "prod")
    root = repository(tmp_path / "root")
    with controller(cluster, tmp_path, "--controllers", "admission", "--policies", root, *where) as running:
        bundle = f"{HOOKS}/gatekeeper-gitops"
        until(lambda: "caBundle" in cluster.ask("GET", bundle)[1]["webhooks"][0]["clientConfig"], running)

        def is_refused() -> bool:
            code, said = cluster.ask(
                "POST", PODS, {**POD, "spec": {"containers": [{"name": "c", "image": "x:latest"}]}}
            )
            return code == 403 and b"container c has no fixed image" in said

        until(is_refused, running)
        assert cluster.ask("POST", PODS, POD)[0] == 201
        code, text = running.ask("/metrics")
        assert code == 200 and b'gatekeeper_verdicts_total{gate="admission",verdict="refused"}' in text
        # What was there before is told of.
        path = f"{REPORTS}/namespaces/prod/policyreports/gatekeeper"
        found = cluster.wait(path)
        [failed] = [one for one in found["results"] if one["result"] == "fail"]
        assert failed["resources"][0]["name"] == "early" and found["summary"]["fail"] == 1
    # Nobody answers any more: it is closed.
    code, said = cluster.ask("POST", PODS, {**POD, "metadata": {"name": "later"}})
    assert code >= 400 and b"failed calling webhook" in said
    cluster.ask("DELETE", f"{HOOKS}/gatekeeper-gitops")
    for one in ("p", "early"):
        cluster.ask("DELETE", f"{PODS}/{one}?gracePeriodSeconds=0")


def test_an_expiring_certificate_is_renewed_by_the_same_authority(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    hook(cluster, port)
    where = ("--webhook-listen", f"127.0.0.1:{port}", "--webhook-host", "127.0.0.1", "-n", "prod")
    root = repository(tmp_path / "root")
    run = ("--controllers", "admission", "--policies", root, "--scan-every", "0", *where)
    # Of a replica that went away while it was nearly over.
    old = certificates.issue_certificate(None, ["127.0.0.1"], 0.001)
    data = {field: base64.b64encode(held.reveal()).decode() for field, held in old.items()}
    secret = "/api/v1/namespaces/prod/secrets"
    cluster.ask("DELETE", f"{secret}/gatekeeper-gitops-webhook-certificate")
    cluster.make(secret, {"metadata": {"name": "gatekeeper-gitops-webhook-certificate"}, "data": data})
    with controller(cluster, tmp_path, *run) as running:
        first = served(running, port)
        assert first.not_valid_after_utc - datetime.datetime.now(datetime.UTC) > datetime.timedelta(days=80)
        until(lambda: cluster.ask("POST", f"{PODS}?dryRun=All", POD)[0] == 201, running)
        # The same authority signs: whoever trusts it needs to be told nothing.
        held = cluster.ask("GET", f"{secret}/gatekeeper-gitops-webhook-certificate")[1]
        assert held["data"]["ca.crt"] == data["ca.crt"] and held["data"]["tls.crt"] != data["tls.crt"]
        assert "PRIVATE" not in running.log.read_text()
    cluster.ask("DELETE", f"{HOOKS}/gatekeeper-gitops")


def test_the_option_policies_is_required(cluster: Cluster) -> None:
    code, _, err = command("controller", "run", "--controllers", "admission", "--kubeconfig", cluster.kubeconfig)
    assert code == 2 and "--policies DIR" in err
