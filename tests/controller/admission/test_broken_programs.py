"""The webhook while a program that evaluates its policies is missing or broken: the object is not admitted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gatekeeper.controller.admission.review import AdmissionReviewer
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.engines.admission.kyverno import program as kyverno
from gatekeeper.upstream import client
from tests.conftest import Repository, needs
from tests.controller.admission.test_review import answered, review
from tests.upstream.broken_programs import FAULTS, OTHER_VERSION, break_program, greet_and

VAP = """\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: team}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  validations: [{expression: "has(object.data.team)"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: team}
spec: {policyName: team, validationActions: [Deny]}
"""
KYVERNO = """\
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: team}
spec:
  validationFailureAction: Enforce
  rules:
  - name: team
    match: {any: [{resources: {kinds: [ConfigMap]}}]}
    validate: {message: no team, pattern: {data: {team: '?*'}}}
"""
OBJECT = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a", "namespace": "prod"},
    "data": {"team": "shop"},
}
CODES = {
    "missing": None,
    "another version": OTHER_VERSION,
    **{name: greet_and(FAULTS[name]) for name in ("killed", "garbage", "out of memory", "refusal")},
}


@pytest.fixture(autouse=True)
def fresh_clients() -> Iterator[None]:
    """Clients that look for their programs again, before and after."""
    caches = (client.open_client, kyverno.open_program)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@needs("gatekeeper-upstream", "gatekeeper-kyverno")
@pytest.mark.parametrize("fault", CODES)
@pytest.mark.parametrize(("name", "policy"), [("gatekeeper-upstream", VAP), ("gatekeeper-kyverno", KYVERNO)])
def test_an_object_is_not_admitted_while_the_program_is_broken(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, policy: str, fault: str
) -> None:
    root = repository({"policy.yaml": policy})
    environment = break_program(tmp_path / "cache", name, CODES[fault])
    monkeypatch.setenv("XDG_CACHE_HOME", environment["XDG_CACHE_HOME"])
    response = answered(AdmissionReviewer(root, None, False, Metrics()), review(OBJECT))
    assert response["allowed"] is False
    assert response["status"]["code"] == 500
    assert "gatekeeper could not check it" in response["status"]["message"] and name in response["status"]["message"]
    lenient = answered(AdmissionReviewer(root, None, True, Metrics()), review(OBJECT))
    assert lenient["allowed"] is True and "gatekeeper could not check it" in lenient["warnings"][0]


@needs("gatekeeper-upstream", "gatekeeper-kyverno")
@pytest.mark.parametrize("policy", [VAP, KYVERNO])
def test_the_same_object_is_admitted_with_the_programs(repository: Repository, policy: str) -> None:
    reviewer = AdmissionReviewer(repository({"policy.yaml": policy}), None, False, Metrics())
    assert answered(reviewer, review(OBJECT))["allowed"] is True
    refused = answered(reviewer, review({**OBJECT, "data": {"owner": "shop"}}))
    assert refused["allowed"] is False and refused["status"]["code"] != 500
