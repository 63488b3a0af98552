"""ValidatingAdmissionPolicies with their bindings, judged as the API server would."""

from __future__ import annotations

import pytest

from gatekeeper.engines.admission.vap import pluralize
from tests.conftest import Repository, judge

POLICY = """\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: replicas}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}
  variables:
  - {name: most, expression: "5"}
  validations:
  - expression: object.spec.replicas <= variables.most
    messageExpression: "'at most ' + string(variables.most) + ' replicas'"
"""
BINDING = """\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: replicas-here}
spec: {policyName: replicas, validationActions: [Deny]}
"""
OBJECT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: prod, labels: {app: web}}
spec:
  replicas: 7
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "nginx:1.27"}]
"""
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: prod, labels: {stage: production}}\n"


def found(
    repository: Repository, policy: str, binding: str = BINDING, more: str = ""
) -> list[tuple[str, str, int | None]]:
    verdict = judge(repository({"p.yaml": policy, "b.yaml": binding, "n.yaml": NAMESPACE + more, "o.yaml": OBJECT}))
    assert verdict.decision != "incomplete", verdict.coverage.gaps
    return [(one.severity, one.message, one.location.line) for one in verdict.findings if one.location.file == "o.yaml"]


def test_a_finding_has_message_and_line(repository: Repository) -> None:
    assert found(repository, POLICY) == [("error", "at most 5 replicas", 5)]


@pytest.mark.parametrize(
    ("action", "severity"), [("[Warn]", "warning"), ("[Audit]", "info"), ("[Audit, Deny]", "error")]
)
def test_validation_actions_set_the_severity(repository: Repository, action: str, severity: str) -> None:
    assert [one[0] for one in found(repository, POLICY, BINDING.replace("[Deny]", action))] == [severity]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[deployments]", "[pods, deployments/scale]"),
        ("[deployments]", '["pods/*", "*/scale", "deployment/*"]'),
        (
            "  variables:",
            '    excludeResourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: ["*"], resources: '
            '["deployments/*"]}]\n  variables:',
        ),
        ("resources: [deployments]", "resources: [deployments], scope: Cluster"),
        ("operations: [CREATE, UPDATE]", "operations: [DELETE]"),
        ("apiGroups: [apps]", "apiGroups: [batch]"),
        ("resources: [deployments]", "resources: [deployments], resourceNames: [other]"),
        ("  variables:", "    namespaceSelector: {matchLabels: {stage: staging}}\n  variables:"),
        ("  variables:", "    objectSelector: {matchLabels: {app: db}}\n  variables:"),
        ("  variables:", "  matchConditions: [{name: c, expression: object.metadata.name != 'web'}]\n  variables:"),
        ("variables.most\n", "variables.most + 2\n"),
    ],
)
def test_other_resources_are_not_checked(repository: Repository, before: str, after: str) -> None:
    assert found(repository, POLICY.replace(before, after)) == []


@pytest.mark.parametrize(
    "after", ['["*"]', '["*/*"]', "[deployments, pods]", '["deployments/*"]', '["pods/*", "deployments/*"]']
)
def test_matching_resources_are_checked(repository: Repository, after: str) -> None:
    assert found(repository, POLICY.replace("resources: [deployments]", f"resources: {after}"))


def test_an_exclusion_of_other_subresources_excludes_nothing(repository: Repository) -> None:
    excluded = '[{apiGroups: [apps], apiVersions: [v1], operations: ["*"], resources: ["deployments/scale", "pods/*"]}]'
    assert found(repository, POLICY.replace("  variables:", f"    excludeResourceRules: {excluded}\n  variables:"))


def test_parameters_are_read_from_the_repository(repository: Repository) -> None:
    policy = POLICY.replace("variables.most\n", "int(params.data.most)\n").replace(
        "  failurePolicy: Fail\n", "  paramKind: {apiVersion: v1, kind: ConfigMap}\n"
    )
    binding = BINDING.replace("policyName", "paramRef: {name: limits, parameterNotFoundAction: Deny}, policyName")
    params = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: limits, namespace: prod}\ndata: {most: '6'}\n"
    assert len(found(repository, policy, binding, params)) == 1
    assert found(repository, policy, binding, params.replace("'6'", "'7'")) == []
    verdict = judge(repository({"p.yaml": policy, "b.yaml": binding, "n.yaml": NAMESPACE, "o.yaml": OBJECT}))
    assert verdict.decision == "incomplete"


def test_expressions_read_the_namespace(repository: Repository) -> None:
    policy = POLICY.replace("variables.most\n", "size(namespaceObject.metadata.labels.stage)\n")
    assert found(repository, policy) == []
    verdict = judge(repository({"n.yaml": NAMESPACE.replace("prod,", "other,"), "p.yaml": policy}))
    assert verdict.decision == "incomplete" and "namespace `prod`" in str(verdict.coverage.gaps)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("object.spec.replicas <=", "object.spec.replicas <= (", "the CEL expression"),
        ("object.spec.replicas <=", "authorizer.path('/x').check('get').allowed() ||", "`authorizer`"),
        ("    resourceRules:", "    resourceRule:", "unknown field `resourceRule`"),
        ("object.spec.replicas <=", "object.spec.replica <=", "No such key"),
        ("  validations:", "  validation:", "the policy has no `validations`"),
        (
            "object.spec.replicas <=",
            "1 == 1 && [1].all(a, [1].all(b, [1].all(c, [1].all(d, true)))) || object.spec.replicas <=",
            "4 nested loops",
        ),
        ("object.spec.replicas", "(" * 200 + "object.spec.replicas" + ")" * 200, "too large"),
    ],
)
def test_a_policy_that_cannot_be_evaluated_is_a_fatal_gap(
    repository: Repository, before: str, after: str, told: str
) -> None:
    verdict = judge(repository({"p.yaml": POLICY.replace(before, after, 1), "b.yaml": BINDING, "o.yaml": OBJECT}))
    assert verdict.decision == "incomplete"
    assert any(told in gap.reason for gap in verdict.coverage.gaps if gap.is_fatal), verdict.coverage.gaps


def test_failure_policy_ignore_ignores_errors(repository: Repository) -> None:
    policy = POLICY.replace("object.spec.replicas <=", "object.spec.replica <=").replace(
        "Policy: Fail", "Policy: Ignore"
    )
    assert found(repository, policy) == []


def test_a_policy_without_binding_is_a_gap(repository: Repository) -> None:
    verdict = judge(repository({"p.yaml": POLICY, "o.yaml": OBJECT}))
    assert verdict.decision == "accepted"
    assert "no binding" in str(verdict.coverage.gaps)


def test_a_binding_without_policy_is_a_fatal_gap_unless_it_is_cluster_only(repository: Repository) -> None:
    files: dict[str, str | bytes] = {"b.yaml": BINDING, "o.yaml": OBJECT}
    assert judge(repository(files)).decision == "incomplete"
    settings = "library: {profile: 'off'}\npolicies: {clusterOnly: ['ValidatingAdmissionPolicyBinding/replicas-*']}\n"
    assert judge(repository({**files, "gatekeeper.yaml": settings})).decision == "accepted"


@pytest.mark.parametrize(
    ("kind", "plural"),
    [
        ("Pod", "pods"),
        ("Ingress", "ingresses"),
        ("NetworkPolicy", "networkpolicies"),
        ("Endpoints", "endpoints"),
        ("Gateway", "gateways"),
        ("StorageClass", "storageclasses"),
        ("Proxy", "proxies"),
    ],
)
def test_pluralize(kind: str, plural: str) -> None:
    assert pluralize(kind) == plural
