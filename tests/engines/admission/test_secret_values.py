"""Values of Secrets appear in no message of a policy of any family, not even where it judges another object."""

from __future__ import annotations

from tests.conftest import Repository, judge, needs
from tests.engines.admission.test_admitted_objects import TEMPLATE, VAP

PASSWORD, ENCODED = "Tr0ub4dor-and-3", "VHIwdWI0ZG9yLWFuZC0z"
SECRET = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: b}}\ndata: {{password: {ENCODED}}}\n"
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\ndata: {}\n"
REGO = """\
package main
deny contains sprintf("it is %s", [base64.decode(input.data.password)]) if input.kind == "Secret"
"""
PARAMS = """\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: params}
spec:
  paramKind: {apiVersion: v1, kind: Secret}
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  validations: [{expression: "false", messageExpression: "'the password is ' + string(params.data.password)"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: params}
spec: {policyName: params, validationActions: [Deny], paramRef: {name: s, namespace: b, parameterNotFoundAction: Deny}}
"""


def find(repository: Repository, rule: str, **files: str) -> list[str]:
    texts: dict[str, str | bytes] = {f"{name}.yaml": text for name, text in files.items()}
    verdict = judge(repository({**texts, "s.yaml": SECRET, "c.yaml": CONFIG_MAP}))
    assert PASSWORD not in str(verdict) and ENCODED not in str([one.message for one in verdict.findings])
    return [one.message for one in verdict.findings if one.rule == rule]


def test_rego_about_a_secret(repository: Repository) -> None:
    config = "library: {profile: 'off'}\npolicies: {paths: [policy]}\n"
    root = repository({"policy/p.rego": REGO, "s.yaml": SECRET, "gatekeeper.yaml": config})
    assert [one.message for one in judge(root).findings if one.rule == "main/deny"] == ["it is (hidden)"]


def test_the_inventory_of_a_constraint(repository: Repository) -> None:
    body = (
        'violation[{"msg": msg}] { msg := sprintf("not %s", [data.inventory.namespace.b.v1.Secret.s.data.password]) }'
    )
    template = TEMPLATE.replace('violation[{"msg": "never"}] { true }', body)
    match = "{kinds: [{apiGroups: [''], kinds: [ConfigMap]}]}"
    assert find(repository, "Never/now", t=template.replace("MATCH", match)) == ["not (hidden)"]


@needs("gatekeeper-upstream")
def test_a_validating_admission_policy_about_a_secret(repository: Repository) -> None:
    policy = VAP.replace("RESOURCE", "secrets").replace("SCOPE", "'*'").replace("EXPRESSION", "false")
    policy = policy.replace('"false"', '"false", messageExpression: "\'not \' + string(object.data.password)"')
    assert find(repository, "ValidatingAdmissionPolicy/never", p=policy) == ["not (hidden)"]


@needs("gatekeeper-upstream")
def test_the_parameters_of_a_validating_admission_policy(repository: Repository) -> None:
    assert find(repository, "ValidatingAdmissionPolicy/params", p=PARAMS) == ["the password is (hidden)"]
