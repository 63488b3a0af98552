"""Rules of Kyverno policies, evaluated on the resources of a repository."""

from __future__ import annotations

import pytest

from tests.conftest import Repository, judge
from tests.gate.test_pipeline import DEPLOYMENT

POLICY = """\
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: images}
spec:
  validationFailureAction: Enforce
  rules:
  - name: pinned
    match: {any: [{resources: {kinds: [Pod]}}]}
    validate:
      message: "image of {{ request.object.kind }} must be pinned"
      pattern:
        spec:
          containers:
          - image: "*:* & !*:latest"
"""
POD = (
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: b}\nspec:\n  containers:\n  - {name: c, image: IMAGE}\n"
)


def rule(body: str) -> str:
    return POLICY.partition("    validate:")[0] + body


def find(repository: Repository, policy: str, *objects: str) -> list[tuple[str, str, str, int | None]]:
    files: dict[str, str | bytes] = {f"{number}.yaml": text for number, text in enumerate(objects)}
    verdict = judge(repository({**files, "p.yaml": policy}))
    assert verdict.decision != "incomplete", verdict.coverage.gaps
    return [(one.rule, one.severity, one.message, one.location.line) for one in verdict.findings]


def test_a_mismatch_is_found_with_its_line(repository: Repository) -> None:
    expected = [("images/pinned", "error", "image of Pod must be pinned", 6)]
    assert find(repository, POLICY, POD.replace("IMAGE", '"nginx:latest"')) == expected
    assert find(repository, POLICY, POD.replace("IMAGE", '"nginx:1.27"')) == []


def test_a_rule_for_pods_checks_the_templates_of_controllers(repository: Repository) -> None:
    assert find(repository, POLICY, DEPLOYMENT)[0][3] == 11
    alone = POLICY.replace(
        "{name: images}", "{name: i, annotations: {pod-policies.kyverno.io/autogen-controllers: none}}"
    )
    assert find(repository, alone, DEPLOYMENT) == []
    named = POLICY.replace("kinds: [Pod]", "kinds: [Pod], names: [w*]")
    assert find(repository, named, DEPLOYMENT) == []


def test_audit_is_a_warning_and_namespaces_can_override_it(repository: Repository) -> None:
    pod = POD.replace("IMAGE", '"nginx:latest"')
    audit = POLICY.replace("Enforce", "Audit")
    assert find(repository, audit, pod)[0][1] == "warning"
    own = audit.replace(
        "  rules:", "  validationFailureActionOverrides: [{action: Enforce, namespaces: [b]}]\n  rules:"
    )
    assert find(repository, own, pod)[0][1] == "error"


def test_one_of_several_patterns_is_enough(repository: Repository) -> None:
    policy = rule("    validate:\n      anyPattern: [{metadata: {name: x}}, {metadata: {namespace: 'b|c'}}]\n")
    assert find(repository, policy, POD) == []
    assert len(find(repository, policy.replace("'b|c'", "'c|d'"), POD)) == 1


def test_deny_evaluates_conditions(repository: Repository) -> None:
    policy = rule(
        '    preconditions: {all: [{key: "{{ request.operation }}", operator: Equals, value: CREATE}]}\n'
        "    validate:\n      message: never\n      deny:\n        conditions:\n          any:\n"
        "          - {key: \"{{ request.object.spec.containers[].image }}\", operator: AnyIn, value: ['*:latest']}\n"
    )
    assert len(find(repository, policy, POD.replace("IMAGE", '"nginx:latest"'))) == 1
    assert find(repository, policy, POD.replace("IMAGE", '"nginx:1.27"')) == []
    assert (
        find(repository, policy.replace("value: CREATE", "value: DELETE"), POD.replace("IMAGE", '"nginx:latest"')) == []
    )


def test_cel_expressions_are_evaluated(repository: Repository) -> None:
    policy = rule(
        "    validate:\n      cel:\n        expressions:\n"
        "        - expression: \"object.spec.containers.all(c, !c.image.endsWith(':latest'))\"\n          message: pin it\n"
    )
    assert [one[2:] for one in find(repository, policy, POD.replace("IMAGE", '"nginx:latest"'))] == [("pin it", 6)]


def test_a_policy_exception_of_the_repository_applies(repository: Repository) -> None:
    exception = (
        "apiVersion: kyverno.io/v2\nkind: PolicyException\nmetadata: {name: e, namespace: b}\n"
        "spec:\n  exceptions: [{policyName: images, ruleNames: [pinned]}]\n"
        "  match: {any: [{resources: {kinds: [Pod], names: [a]}}]}\n"
    )
    assert find(repository, POLICY, POD.replace("IMAGE", '"nginx:latest"'), exception) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            "    validate: {foreach: [{list: x, pattern: {}}]}\n",
            "`validate` must have one of pattern, anyPattern, deny, cel, not foreach",
        ),
        ("    validate: {podSecurity: {level: baseline}}\n", "deny, cel, not podSecurity"),
        ("    context: [{name: a, apiCall: {urlPath: /x}}]\n    validate: {pattern: {}}\n", "`context`"),
        ("    verifyImages: [{imageReferences: ['*']}]\n", "`verifyImages` is not supported"),
        ("    validate: {pattern: {metadata: {name: $(../x)}}}\n", "the reference"),
        ("    validate: {pattern: {metadata: {+(name): x}}}\n", "for mutation only"),
        ("    validate: {deny: {conditions: [{key: '{{ images.a }}', operator: Equals, value: 1}]}}\n", "images.a"),
        ("    validate: {deny: {conditions: [{key: '{{ x509(@) }}', operator: Equals, value: 1}]}}\n", "x509"),
        ("    validate: {deny: {conditions: [{key: a, operator: Like, value: 1}]}}\n", "'Like'"),
        (
            "    validate: {deny: {conditions: [{key: '{{ request.object.x }}', operator: Equals, value: 1}]}}\n",
            "has no value",
        ),
        ("    validate: {}\n", "deny, cel, not nothing"),
    ],
)
def test_unsupported_features_are_fatal_gaps(repository: Repository, body: str, reason: str) -> None:
    verdict = judge(repository({"p.yaml": rule(body), "o.yaml": POD.replace("IMAGE", "a:1")}))
    assert verdict.decision == "incomplete"
    assert any(reason in gap.reason for gap in verdict.coverage.gaps if gap.is_fatal), verdict.coverage.gaps


def test_rules_that_mutate_resources_are_gaps(repository: Repository) -> None:
    policy = rule("    mutate: {patchStrategicMerge: {metadata: {labels: {a: b}}}}\n")
    verdict = judge(repository({"p.yaml": policy, "o.yaml": POD.replace("IMAGE", "a:1")}))
    assert verdict.decision == "accepted"
    assert "rule images/pinned would mutate resources" in str(verdict.coverage.gaps)
