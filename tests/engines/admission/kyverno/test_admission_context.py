"""Policies see what Kyverno's webhook gets: the request, the namespace, and whether it is called at all."""

from __future__ import annotations

import pytest

from gatekeeper.model import Verdict
from tests.conftest import Repository, judge, needs
from tests.engines.admission.kyverno.test_cel_policies import POLICY as CEL_POLICY
from tests.engines.admission.kyverno.test_evaluator import POD, find, rule

pytestmark = needs("gatekeeper-kyverno")
POD = POD.replace("IMAGE", "a:1")
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: b, labels: {env: ENV}}\n"
DENY = "    validate: {message: m, deny: {}}\n"


def deny(key: str, value: str) -> str:
    return rule(
        f'    validate: {{message: m, deny: {{conditions: {{any: [{{key: "{{{{ {key} }}}}", operator: Equals,'
        f" value: '{value}'}}]}}}}}}\n"
    )


def cel(expression: str) -> str:
    return rule(f'    validate: {{cel: {{expressions: [{{expression: "{expression}", message: m}}]}}}}\n')


def with_spec(policy: str, line: str) -> str:
    return policy.replace("spec:\n", f"spec:\n  {line}\n", 1)


def judge_policy(repository: Repository, policy: str, *objects: str) -> Verdict:
    files: dict[str, str | bytes] = {f"{number}.yaml": text for number, text in enumerate(objects)}
    return judge(repository({"p.yaml": policy, **files}))


def find_gap(verdict: Verdict) -> str:
    assert verdict.decision == "incomplete", verdict.findings
    [gap] = [gap.reason for gap in verdict.coverage.gaps if gap.is_fatal]
    return gap


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("request.kind.kind", "Pod"),
        ("request.resource.resource", "pods"),
        ("request.requestKind.version", "v1"),
        ("request.name", "a"),
        ("request.namespace", "b"),
        ("request.oldObject || 'none'", "none"),
        ("request.subResource || 'none'", "none"),
    ],
)
def test_rules_read_the_request(repository: Repository, key: str, value: str) -> None:
    assert len(find(repository, deny(key, value), POD)) == 1
    assert find(repository, deny(key, "other"), POD) == []


def test_expressions_of_classic_rules_read_the_request(repository: Repository) -> None:
    resource = "request.resource.resource != 'pods' || request.kind.kind != 'Pod' || request.operation != 'CREATE'"
    assert len(find(repository, cel(resource), POD)) == 1


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        (cel("request.userInfo.username != 'a'"), "request.userInfo"),
        (cel("authorizer.group('').resource('pods').namespace('b').check('get').allowed()"), "authorizer"),
        (deny("request.uid", "a"), "request.uid"),
        (deny("serviceAccountName", "a"), "serviceAccountName"),
        (
            rule("    context: [{name: a, variable: {jmesPath: 'serviceAccountNamespace'}}]\n" + DENY),
            "serviceAccountNamespace",
        ),
    ],
)
def test_what_only_the_request_of_a_user_has_is_refused(repository: Repository, policy: str, name: str) -> None:
    assert f"it reads `{name}`" in find_gap(judge_policy(repository, with_spec(policy, "background: false"), POD))


def test_the_account_of_a_pod_is_no_variable_of_the_user(repository: Repository) -> None:
    pod = POD.replace("spec:", "spec:\n  serviceAccountName: default")
    pattern = rule("    validate: {message: m, pattern: {spec: {serviceAccountName: '!default'}}}\n")
    read = deny("request.object.spec.serviceAccountName", "default")
    for policy in (pattern, read):
        assert len(find(repository, policy, pod)) == 1
        assert find(repository, policy, pod.replace("default", "web")) == []


def test_expressions_of_classic_rules_read_the_labels_of_the_namespace(repository: Repository) -> None:
    policy = cel("namespaceObject.metadata.labels.env != 'live'")
    assert "selects by the labels of namespace `b`" in find_gap(judge_policy(repository, policy, POD))
    assert [len(find(repository, policy, POD, NAMESPACE.replace("ENV", name))) for name in ("live", "test")] == [1, 0]


def test_conditions_of_the_webhook_select_objects(repository: Repository) -> None:
    condition = 'webhookConfiguration: {{matchConditions: [{{name: c, expression: "{}"}}]}}'
    policy = rule(DENY)
    selected = with_spec(policy, condition.format("request.resource.resource == 'pods' && object.metadata.name == 'a'"))
    other = with_spec(policy, condition.format("object.metadata.name == 'b'"))
    assert (len(find(repository, selected, POD)), find(repository, other, POD)) == (1, [])
    for expression, reason in (
        ("object.spec.missing == 'a'", "no such key: missing"),
        ("request.userInfo.username == 'a'", "it reads `request.userInfo`"),
        ("object.metadata.", "ERROR"),
    ):
        broken = with_spec(policy, condition.format(expression))
        assert reason in find_gap(judge_policy(repository, broken, POD)), expression


@pytest.mark.parametrize(
    ("policy", "line", "words"),
    [
        (rule(DENY), "admission: false", "`admission` is false"),
        (CEL_POLICY, "evaluation: {admission: {enabled: false}}", "`evaluation.admission` is disabled"),
    ],
)
def test_policies_that_are_not_enforced_at_admission_warn(
    repository: Repository, policy: str, line: str, words: str
) -> None:
    assert [one[1] for one in find(repository, policy, POD)] == ["error"]
    verdict = judge_policy(repository, with_spec(policy, line), POD)
    assert [one.severity for one in verdict.findings if one.location.file == "0.yaml"] == ["warning"]
    assert verdict.decision == "accepted" and words in str(verdict.coverage.gaps)


def test_an_exception_for_labels_of_an_unknown_namespace_is_not_guessed(repository: Repository) -> None:
    selector = "{matchExpressions: [{key: env, operator: NotIn, values: [live]}]}"
    exception = (
        "apiVersion: kyverno.io/v2\nkind: PolicyException\nmetadata: {name: e, namespace: b}\nspec:\n"
        "  exceptions: [{policyName: images, ruleNames: [pinned]}]\n"
        f"  match: {{any: [{{resources: {{kinds: [Pod], namespaceSelector: {selector}}}}}]}}\n"
    )
    policy = rule(DENY)
    assert "selects by the labels of namespace `b`" in find_gap(judge_policy(repository, policy, POD, exception))
    passing = rule("    validate: {message: m, pattern: {metadata: {name: a}}}\n")
    assert find(repository, passing, POD, exception) == [], "what passes needs no exception"
    known = [NAMESPACE.replace("ENV", name) for name in ("live", "test")]
    assert [len(find(repository, policy, POD, exception, namespace)) for namespace in known] == [1, 0]
