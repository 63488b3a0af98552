"""Warnings about types in ValidatingAdmissionPolicies, at the expression."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.engines.schema import type_checks
from gatekeeper.engines.schema.catalog import SchemaCatalog
from gatekeeper.model import Finding
from gatekeeper.upstream.client import UpstreamClient
from tests.conftest import Repository, judge, needs
from tests.engines.resources import parse_resources
from tests.engines.schema.test_validation import CRD

POLICY = """\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: replicas}
spec:
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints:
    resourceRules:
    - {apiGroups: [GROUP], apiVersions: [v1], operations: [CREATE], resources: [RESOURCES]}
  validations:
  - expression: "true"
    messageExpression: "'a'"
  - expression: EXPRESSION
"""


def found(
    repository: Repository, expression: str, group: str = "apps", resources: str = "deployments"
) -> list[Finding]:
    text = POLICY.replace("EXPRESSION", expression).replace("GROUP", group).replace("RESOURCES", resources)
    files: dict[str, str | bytes] = {"policy.yaml": text, "crd.yaml": CRD}
    return [one for one in judge(repository(files)).findings if one.rule == type_checks.RULE]


@needs("gatekeeper-upstream")
def test_a_field_that_no_object_has_is_a_warning_at_the_expression(repository: Repository) -> None:
    [finding] = found(repository, "object.spec.replicaz > 1")
    assert (finding.severity, finding.location.file, finding.location.line) == ("warning", "policy.yaml", 12)
    assert finding.message == "the type check warns: undefined field 'replicaz' for Deployment (apps/v1)"


@needs("gatekeeper-upstream")
@pytest.mark.parametrize(
    ("expression", "group", "resources", "message"),
    [
        ("object.spec.replicas > 1", "apps", "deployments", ""),
        ("object.spec.min < object.spec.max", "example.com", "shops", ""),
        ("object.spec.mni > 1", "example.com", "shops", "undefined field 'mni' for Shop (example.com/v1)"),
        ("params.dota.x == 'a'", "apps", "deployments", "undefined field 'dota' for Deployment (apps/v1)"),
        (
            "object.spec.x == 1",
            "apps",
            "deployments, daemonsets",
            "undefined field 'x' for DaemonSet (apps/v1), Deployment (apps/v1)",
        ),
        (
            "object.spec == 'x'",
            "apps",
            "deployments",
            "found no matching overload for '_==_' applied to '(io.k8s.api.apps.v1.DeploymentSpec, string)'",
        ),
        ("object.spec.x == 1", "'*'", "deployments", ""),
    ],
)
def test_types_are_those_of_the_kinds_that_the_policy_names(
    repository: Repository, expression: str, group: str, resources: str, message: str
) -> None:
    messages = [one.message for one in found(repository, expression, group, resources)]
    assert len(messages) == bool(message) and all(message.split(" applied")[0] in one for one in messages)


def test_a_program_that_is_missing_is_a_fatal_gap(tmp_path: Path) -> None:
    client = UpstreamClient(lambda: tmp_path / "missing", "1.36")
    findings, [gap] = type_checks.check(client, parse_resources(POLICY), SchemaCatalog("1.34"))
    assert findings == [] and gap.is_fatal and "were not checked" in gap.reason
