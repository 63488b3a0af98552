"""MutatingAdmissionPolicies are compiled by the API server's validation, and listed as not applied."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.config import Config
from gatekeeper.engines.admission import engine
from tests.conftest import Repository, judge, needs
from tests.engines.contexts import build_context

MUTATING = """\
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: labels}
spec:
  reinvocationPolicy: Never
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: 'Object{metadata: Object.metadata{labels: {"a": "b"}}}'}
"""
MUTATING_BINDING = """\
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: labels}
spec: {policyName: labels}
"""


@pytest.mark.parametrize(
    ("binding", "fields", "words", "is_fatal"),
    [
        ("", {}, "has no binding, so it has no effect", False),
        (MUTATING_BINDING, {}, "would mutate resources; the resulting resources are not checked", False),
        (MUTATING_BINDING, {"mutate": "apply"}, "`policies.mutate: apply` does not apply policies", True),
    ],
)
def test_mutating_admission_policies_are_noted(
    repository: Repository, binding: str, fields: dict[str, Any], words: str, is_fatal: bool
) -> None:
    context = build_context(repository({"m.yaml": MUTATING + binding}), Config()._replace(**fields))
    [gap] = engine.evaluate(context).global_gaps
    assert words in gap.reason and gap.is_fatal == is_fatal


@needs("gatekeeper-upstream")
def test_a_mutating_admission_policy_that_does_not_compile_is_found_at_its_expression(repository: Repository) -> None:
    policy = MUTATING.replace("Object.metadata{labels", "Object.metadata{lebals").replace('{"a": "b"}', '{"a": 7')
    verdict = judge(repository({"m.yaml": policy}))
    [finding] = [one for one in verdict.findings if one.rule == "schema/apiserver"]
    assert (finding.severity, finding.location.line) == ("error", 10)
    assert "compilation failed" in finding.message and "Syntax error" in finding.message
