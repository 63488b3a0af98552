"""The webhook has the verdict of `check`, on the same policies: case by case, and behind a real API server."""

from __future__ import annotations

import base64
import datetime
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from cryptography import x509

from gatekeeper import config
from gatekeeper.controller.admission import certificates
from gatekeeper.controller.admission import review as admission_review
from gatekeeper.controller.admission.review import AdmissionReviewer
from gatekeeper.controller.runtime.http_server import HttpRequest
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.engines.rego import library
from gatekeeper.gate import pipeline
from gatekeeper.workspace import tree as workspace_tree
from tests.conftest import command
from tests.controller.deployment import Running, controller, until
from tests.servers import cluster as servers
from tests.servers.cluster import Cluster, free_port

CASES = sorted(path for path in library.find_folder().rglob("*.yaml") if path.stem in ("bad", "good"))
POD: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "prod"},
    "spec": {"containers": [{"name": "c", "image": "nginx:1.25"}]},
}
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
PODS = "/api/v1/namespaces/prod/pods"
REPORTS = "/apis/wgpolicyk8s.io/v1alpha2"
RULE = """package main

import rego.v1

deny contains msg if {
\tsome container in input.spec.containers
\tendswith(container.image, ":latest")
\tmsg := sprintf("container %s has no fixed image", [container.name])
}

warn contains msg if {
\tnot input.metadata.labels.team
\tmsg := "no team"
}
"""


def repository(root: Path, rule: str = RULE, profile: str = "off") -> Path:
    (root / "policy").mkdir(parents=True, exist_ok=True)
    (root / "policy" / "rule.rego").write_text(rule)
    (root / "gatekeeper.yaml").write_text(
        yaml.safe_dump({"library": {"profile": profile}, "policies": {"paths": ["policy"]}})
    )
    return root


def review(value: Any, operation: str = "CREATE", old: Any = None) -> HttpRequest:
    request = {"uid": "u", "operation": operation, "object": value, "oldObject": old, "namespace": "prod", "name": ""}
    whole = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return HttpRequest("POST", "/validate", {}, orjson.dumps(whole))


def answered(asked: AdmissionReviewer, request: HttpRequest) -> Any:
    answer = asked.handle_request(request)
    assert answer is not None and answer.status == 200
    response = orjson.loads(answer.body)["response"]
    assert response["uid"] == "u"
    return response


def test_all_cases_of_the_library_have_the_verdict_that_ci_gives_them(tmp_path: Path) -> None:
    """The whole library, strict, on its own cases: what `check` finds in a file the webhook finds in the object."""
    (tmp_path / "gatekeeper.yaml").write_text("library: {profile: strict}\nschemas: {allowMissing: ['*']}\n")
    for number, case in enumerate(CASES):
        (tmp_path / f"{number}.yaml").write_text(case.read_text())
    settings = config.load(tmp_path, None)
    tree = workspace_tree.build_tree([tmp_path], tmp_path, ())
    whole = pipeline.run_full_check(tree, settings, pipeline.CheckOptions(1))
    parts = {resource.origin.file: lot for _, lot in whole.resource_groups for resource in lot}
    assert len(parts) > 80
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "gatekeeper.yaml").write_text((tmp_path / "gatekeeper.yaml").read_text())
    rules = admission_review.load_policies(tmp_path / "empty", None)
    # What is of files alone an object cannot have.
    others = ("references/", "secrets/plaintext", "plaintext/", "sealed/", "external/", "yaml/", "leaks/")
    wrong = []
    for lot in parts.values():
        for resource in lot:
            in_ci = {
                (one.rule, one.message)
                for one in whole.verdict.findings
                if one.resource_ref == resource.ref
                and one.location.file == resource.origin.file
                and not one.rule.startswith(others)
            }
            here = {
                (one.rule, one.message) for one in admission_review.evaluate_objects(rules, [resource.value]).findings
            }
            if in_ci != here:
                wrong.append((resource.origin.file, in_ci ^ here))
    assert not wrong, wrong[:5]


def test_what_is_refused_is_told_with_rule_and_reason_and_warnings_pass(tmp_path: Path) -> None:
    asked = AdmissionReviewer(repository(tmp_path), None, False, Metrics())
    assert answered(asked, review({"apiVersion": "v1", "kind": "Pod", **POD})) == {
        "uid": "u",
        "allowed": True,
        "warnings": ["main/warn: no team"],
    }
    late = {"apiVersion": "v1", "kind": "Pod", **POD, "spec": {"containers": [{"name": "c", "image": "nginx:latest"}]}}
    refused = answered(asked, review(late))
    assert refused["allowed"] is False and refused["status"]["code"] == 403
    assert "container c has no fixed image" in refused["status"]["message"]
    # Whoever takes off a finalizer, or deletes it, is not held up.
    freed = {**late, "metadata": {**POD["metadata"], "finalizers": []}}
    assert answered(asked, review(freed, "UPDATE", {**late, "metadata": {**POD["metadata"], "finalizers": ["x/y"]}}))[
        "allowed"
    ]
    assert not answered(asked, review(late, "UPDATE", {"apiVersion": "v1", "kind": "Pod", **POD}))["allowed"]
    assert answered(asked, review(None, "DELETE", late))["allowed"]
    for body in (b"x", b"{}", b"[]", b'{"kind": "AdmissionReview"}'):
        answer = asked.handle_request(HttpRequest("POST", "/validate", {}, body))
        assert answer is not None and answer.status == 400


def test_other_policies_count_when_they_can_be_used_and_what_cannot_be_judged_is_refused(tmp_path: Path) -> None:
    asked = AdmissionReviewer(repository(tmp_path), None, False, Metrics())
    pod = {"apiVersion": "v1", "kind": "Pod", **POD}
    repository(tmp_path, RULE.replace('":latest"', '":1.25"'))
    asked.reload_if_changed()
    assert not answered(asked, review(pod))["allowed"]
    repository(tmp_path, "package main\n\nimport rego.v1\n\ndeny contains 1 if nothing.of.that(\n")
    asked.reload_if_changed()
    closed = answered(asked, review(pod))
    assert closed["allowed"] is False and "gatekeeper could not check it: " in closed["status"]["message"]
    opened = answered(AdmissionReviewer(tmp_path, None, True, Metrics()), review(pod))
    assert opened["allowed"] and "gatekeeper could not check it: " in opened["warnings"][0]


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


def test_an_api_server_asks_it_and_stores_what_it_accepts(cluster: Cluster, tmp_path: Path) -> None:
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


def test_a_certificate_that_is_over_soon_is_made_anew_and_trusted_while_it_runs(
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


def test_a_new_authority_is_made_when_the_old_is_over_before_the_certificate_is() -> None:
    first = certificates.issue_certificate(None, ["a.svc", "127.0.0.1"], 30)
    same = certificates.issue_certificate(first, ["a.svc"], 30)
    assert same["ca.crt"].reveal() == first["ca.crt"].reveal()
    longer = certificates.issue_certificate(first, ["a.svc"], 4000)
    assert longer["ca.crt"].reveal() != first["ca.crt"].reveal()
    broken = {**first, "ca.crt": first["ca.key"]}
    assert certificates.issue_certificate(broken, ["a.svc"], 30)["ca.crt"].reveal() != first["ca.key"].reveal()
    leaf = x509.load_pem_x509_certificate(first["tls.crt"].reveal())
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(first["ca.crt"].reveal()))


def test_without_policies_it_says_so(cluster: Cluster) -> None:
    code, _, err = command("controller", "run", "--controllers", "admission", "--kubeconfig", cluster.kubeconfig)
    assert code == 2 and "--policies DIR" in err
