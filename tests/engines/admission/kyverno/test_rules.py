"""Rules of Kyverno policies: what is parsed, and each unsupported feature is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.engines.admission.kyverno import rules
from gatekeeper.engines.admission.kyverno.rules import KyvernoRule
from gatekeeper.errors import PolicyError
from gatekeeper.model import Resource
from tests.engines.resources import build_resource

RULE: dict[str, Any] = {"name": "r", "match": {}, "validate": {"pattern": {"metadata": {"name": "?*"}}}}


def build_policy(rule: Any, kind: str = "ClusterPolicy", **spec: Any) -> Resource:
    metadata = {"name": "p", "namespace": "team"} if kind == "Policy" else {"name": "p"}
    return build_resource(
        {"apiVersion": "kyverno.io/v1", "kind": kind, "metadata": metadata, "spec": {"rules": [rule], **spec}}
    )


def parse(policy: Resource, *exceptions: Resource) -> list[KyvernoRule]:
    return list(rules.parse_rules(policy, exceptions, []))


@pytest.mark.parametrize(
    ("rule", "spec", "reason"),
    [
        ("text", {}, "must be a list of rules"),
        (RULE, {"applyRules": "One"}, "`applyRules: One` is not supported"),
        ({**RULE, "verifyImages": []}, {}, "rule p/r: `verifyImages` is not supported"),
        ({**RULE, "skip": 1}, {}, "rule p/r: `skip` is not supported"),
        ({**RULE, "context": [{"name": "x"}]}, {}, "`context` is not supported"),
        ({"name": "r", "match": {}}, {}, "needs `validate`, `mutate` or `generate`"),
        ({**RULE, "validate": {"message": "m"}}, {}, "not nothing"),
        ({**RULE, "validate": {"pattern": {}, "deny": {}}}, {}, "not pattern, deny"),
        ({**RULE, "validate": {"podSecurity": {}}}, {}, "not podSecurity"),
        ({**RULE, "validate": {"cel": {"paramKind": {}}}}, {}, "`cel.paramKind` is not supported"),
        ({**RULE, "validate": {"cel": []}}, {}, "`cel` must be a mapping"),
        (RULE, {"validationFailureAction": "Block"}, "unknown failure action 'Block'"),
        (
            RULE,
            {"validationFailureActionOverrides": [{"action": "Audit", "namespaceSelector": {"matchLabels": {}}}]},
            "namespaceSelector` is not supported",
        ),
    ],
)
def test_a_rule_that_cannot_be_evaluated_is_refused(rule: Any, spec: dict[str, Any], reason: str) -> None:
    with pytest.raises(PolicyError, match=reason.replace("(", r"\(")):
        parse(build_policy(rule, **spec))


@pytest.mark.parametrize("word", ["mutate", "generate"])
def test_a_rule_that_changes_resources_is_a_warning(word: str) -> None:
    warnings: list[str] = []
    assert list(rules.parse_rules(build_policy({"name": "r", word: {}}), [], warnings)) == []
    assert warnings == [f"rule p/r would {word} resources; the resulting resources are not checked"]


@pytest.mark.parametrize(
    ("rule", "spec", "severity"),
    [
        (RULE, {}, "warning"),
        (RULE, {"validationFailureAction": "enforce"}, "error"),
        (
            {**RULE, "validate": {**RULE["validate"], "failureAction": "Audit"}},
            {"validationFailureAction": "Enforce"},
            "warning",
        ),
    ],
)
def test_the_failure_action_of_the_rule_comes_before_that_of_the_policy(
    rule: dict[str, Any], spec: dict[str, Any], severity: str
) -> None:
    [parsed] = parse(build_policy(rule, **spec))
    assert parsed.severity == severity


def test_the_severity_of_a_namespace_is_that_of_the_first_override_that_matches() -> None:
    overrides = [{"action": "Enforce", "namespaces": ["prod-*"]}, {"action": "Audit", "namespaces": ["*"]}]
    [parsed] = parse(build_policy(RULE, validationFailureActionOverrides=overrides))
    assert (parsed.find_severity("prod-1"), parsed.find_severity("dev")) == ("error", "warning")
    assert parsed.severities == ["warning", "error"]


def test_a_policy_of_a_namespace_checks_only_that_namespace() -> None:
    assert [parse(build_policy(RULE, kind))[0].namespace for kind in ("Policy", "ClusterPolicy")] == ["team", ""]


def test_exceptions_are_those_for_the_policy_and_the_rule() -> None:
    def build_exception(policy: str, name: str, **spec: Any) -> Resource:
        fields = {"exceptions": [{"policyName": policy, "ruleNames": [name]}], "match": {"any": [name]}, **spec}
        return build_resource(
            {"apiVersion": "kyverno.io/v2", "kind": "PolicyException", "metadata": {"name": "e"}, "spec": fields}
        )

    exceptions = [build_exception("p", "r*"), build_exception("p", "x"), build_exception("q", "r")]
    [parsed] = parse(build_policy(RULE), *exceptions)
    assert parsed.exceptions == [{"any": ["r*"]}]
    with pytest.raises(PolicyError, match="PolicyException e: `podSecurity` is not supported"):
        parse(build_policy(RULE), build_exception("p", "r", podSecurity=[]))
