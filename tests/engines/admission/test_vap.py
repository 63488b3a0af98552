"""ValidatingAdmissionPolicies with their bindings, judged as the API server would."""

from __future__ import annotations

import pytest

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
        ("  validations:", "  validation:", "the policy has no `validations`"),
        ("object.spec.replicas <=", "object.spec.replicas < 'x' && 1 + 'x' <=", "no matching overload"),
        ("string(variables.most)", "variables.least", "spec.validations[0].messageExpression"),
        ('expression: "5"', "expression: nothing", "spec.variables[0].expression"),
    ],
)
def test_a_policy_that_cannot_be_evaluated_is_a_fatal_gap(
    repository: Repository, before: str, after: str, told: str
) -> None:
    verdict = judge(repository({"p.yaml": POLICY.replace(before, after, 1), "b.yaml": BINDING, "o.yaml": OBJECT}))
    assert verdict.decision == "incomplete"
    assert any(told in gap.reason for gap in verdict.coverage.gaps if gap.is_fatal), verdict.coverage.gaps


def test_an_expression_that_cannot_be_evaluated_refuses_the_object(repository: Repository) -> None:
    [(severity, message, _)] = found(repository, POLICY.replace("object.spec.replicas <=", "object.spec.replica <="))
    assert (severity, message) == (
        "error",
        "expression 'object.spec.replica <= variables.most' resulted in error: no such key: replica",
    )


def test_an_expression_that_cannot_be_evaluated_on_an_unknown_value_is_a_fatal_gap(repository: Repository) -> None:
    text = OBJECT.replace("replicas: 7", "replicas: ${REPLICAS}")
    verdict = judge(repository({"p.yaml": POLICY, "b.yaml": BINDING, "o.yaml": text}))
    assert verdict.decision == "incomplete" and "no such overload" in str(verdict.coverage.gaps)


def test_an_expression_of_exponential_cost_refuses_the_object(repository: Repository) -> None:
    digits = ", ".join(str(number) for number in range(60))
    costly = f"[{digits}].all(a, [{digits}].all(b, [{digits}].all(c, [{digits}].all(d, a + b + c + d >= 0))))"
    [(_, message, _)] = found(repository, POLICY.replace("object.spec.replicas <= variables.most", f"'{costly}'"))
    assert "cost limit exceeded" in message


@pytest.mark.parametrize(
    "expression",
    [
        "object.?spec.?strategy.?nothing.orValue(1) == 1",
        "object.spec.strategy.type == 'RollingUpdate' && object.spec.progressDeadlineSeconds == 600",
        "has(object.spec.template.spec.containers[0].resources) && object.metadata.generation == 1",
        "quantity('500Mi').isLessThan(quantity('1Gi')) && ip('10.0.0.1').family() == 4",
        "url('https://a.b/c').getHost() == 'a.b' && 'a1'.matches('^[a-z][0-9]$')",
        "sets.contains([1, 2], [1]) && 'abc'.find('b') == 'b' && [3, 1].sum() == 4",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && !format.dns1123Label().validate('ok').hasValue()",
        "semver('1.2.3').isLessThan(semver('1.3.0')) && {'a': 1}.all(k, v, v == 1)",
        "request.resource.resource == 'deployments' && request.operation == 'CREATE' && oldObject == null",
    ],
)
def test_expressions_have_the_libraries_and_the_defaults_of_the_api_server(
    repository: Repository, expression: str
) -> None:
    policy = POLICY.replace("object.spec.replicas <= variables.most", f'"{expression}"')
    assert found(repository, policy) == []
    assert len(found(repository, policy.replace(expression, f"!({expression})"))) == 1


def test_libraries_are_those_of_the_configured_version(repository: Repository) -> None:
    policy = POLICY.replace("object.spec.replicas <= variables.most", "ip('10.0.0.1').family() == 4")
    files: dict[str, str | bytes] = {"p.yaml": policy, "b.yaml": BINDING, "o.yaml": OBJECT}
    settings = "library: {profile: 'off'}\nkubernetes: '1.34'\n"
    assert judge(repository({**files, "gatekeeper.yaml": settings})).decision == "accepted"
    verdict = judge(repository({**files, "gatekeeper.yaml": settings.replace("1.34", "1.30")}))
    assert verdict.decision == "incomplete" and "undeclared reference to 'ip'" in str(verdict.coverage.gaps)


def test_parameters_that_a_namespace_lacks_refuse_its_objects_if_the_binding_says_so(repository: Repository) -> None:
    policy = POLICY.replace("variables.most\n", "int(params.data.most)\n").replace(
        "  failurePolicy: Fail\n", "  paramKind: {apiVersion: v1, kind: ConfigMap}\n"
    )
    binding = BINDING.replace("policyName", "paramRef: {name: limits, parameterNotFoundAction: Deny}, policyName")
    params = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: limits, namespace: other}\ndata: {most: '9'}\n"
    [(_, message, _)] = found(repository, policy, binding, params)
    assert message.startswith("failed to configure binding: no params found")
    assert found(repository, policy, binding.replace("Deny}", "Allow}"), params) == []


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
