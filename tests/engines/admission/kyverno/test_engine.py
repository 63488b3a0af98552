"""Kyverno's policies: patterns, conditions, CEL, and whom a rule is for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.engines.admission.kyverno import conditions, match, patterns
from gatekeeper.engines.admission.kyverno.quantities import parse_duration, parse_quantity
from gatekeeper.engines.admission.kyverno.variables import resolve_variables
from gatekeeper.errors import PolicyError
from gatekeeper.model import ObjectRef
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


def said(repository: Repository, policy: str, *objects: str) -> list[tuple[str, str, str, int | None]]:
    files: dict[str, str | bytes] = {f"{number}.yaml": text for number, text in enumerate(objects)}
    verdict = judge(repository({**files, "p.yaml": policy}))
    assert verdict.decision != "incomplete", verdict.coverage.gaps
    return [(one.rule, one.severity, one.message, one.location.line) for one in verdict.findings]


def test_a_pattern_that_does_not_fit_is_told_with_its_line(repository: Repository) -> None:
    expected = [("images/pinned", "error", "image of Pod must be pinned", 6)]
    assert said(repository, POLICY, POD.replace("IMAGE", '"nginx:latest"')) == expected
    assert said(repository, POLICY, POD.replace("IMAGE", '"nginx:1.27"')) == []


def test_a_rule_for_pods_judges_what_makes_pods(repository: Repository) -> None:
    assert said(repository, POLICY, DEPLOYMENT)[0][3] == 11
    alone = POLICY.replace(
        "{name: images}", "{name: i, annotations: {pod-policies.kyverno.io/autogen-controllers: none}}"
    )
    assert said(repository, alone, DEPLOYMENT) == []
    named = POLICY.replace("kinds: [Pod]", "kinds: [Pod], names: [w*]")
    assert said(repository, named, DEPLOYMENT) == []


def test_audit_is_a_warning_and_a_namespace_can_have_its_own(repository: Repository) -> None:
    pod = POD.replace("IMAGE", '"nginx:latest"')
    audit = POLICY.replace("Enforce", "Audit")
    assert said(repository, audit, pod)[0][1] == "warning"
    own = audit.replace(
        "  rules:", "  validationFailureActionOverrides: [{action: Enforce, namespaces: [b]}]\n  rules:"
    )
    assert said(repository, own, pod)[0][1] == "error"


def test_any_of_some_patterns(repository: Repository) -> None:
    policy = rule("    validate:\n      anyPattern: [{metadata: {name: x}}, {metadata: {namespace: 'b|c'}}]\n")
    assert said(repository, policy, POD) == []
    assert len(said(repository, policy.replace("'b|c'", "'c|d'"), POD)) == 1


def test_deny_by_conditions(repository: Repository) -> None:
    policy = rule(
        '    preconditions: {all: [{key: "{{ request.operation }}", operator: Equals, value: CREATE}]}\n'
        "    validate:\n      message: never\n      deny:\n        conditions:\n          any:\n"
        "          - {key: \"{{ request.object.spec.containers[].image }}\", operator: AnyIn, value: ['*:latest']}\n"
    )
    assert len(said(repository, policy, POD.replace("IMAGE", '"nginx:latest"'))) == 1
    assert said(repository, policy, POD.replace("IMAGE", '"nginx:1.27"')) == []
    assert (
        said(repository, policy.replace("value: CREATE", "value: DELETE"), POD.replace("IMAGE", '"nginx:latest"')) == []
    )


def test_cel(repository: Repository) -> None:
    policy = rule(
        "    validate:\n      cel:\n        expressions:\n"
        "        - expression: \"object.spec.containers.all(c, !c.image.endsWith(':latest'))\"\n          message: pin it\n"
    )
    assert [one[2:] for one in said(repository, policy, POD.replace("IMAGE", '"nginx:latest"'))] == [("pin it", 6)]


def test_an_exception_of_the_repository_counts(repository: Repository) -> None:
    exception = (
        "apiVersion: kyverno.io/v2\nkind: PolicyException\nmetadata: {name: e, namespace: b}\n"
        "spec:\n  exceptions: [{policyName: images, ruleNames: [pinned]}]\n"
        "  match: {any: [{resources: {kinds: [Pod], names: [a]}}]}\n"
    )
    assert said(repository, POLICY, POD.replace("IMAGE", '"nginx:latest"'), exception) == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("    validate: {foreach: [{list: x, pattern: {}}]}\n", "`validate` by foreach"),
        ("    validate: {podSecurity: {level: baseline}}\n", "`validate` by podSecurity"),
        ("    context: [{name: a, apiCall: {urlPath: /x}}]\n    validate: {pattern: {}}\n", "`context`"),
        ("    verifyImages: [{imageReferences: ['*']}]\n", "verifies the signatures"),
        ("    validate: {pattern: {metadata: {name: $(../x)}}}\n", "the reference"),
        ("    validate: {pattern: {metadata: {+(name): x}}}\n", "for mutation only"),
        ("    validate: {deny: {conditions: [{key: '{{ images.a }}', operator: Equals, value: 1}]}}\n", "images.a"),
        ("    validate: {deny: {conditions: [{key: '{{ x509(@) }}', operator: Equals, value: 1}]}}\n", "x509"),
        ("    validate: {deny: {conditions: [{key: a, operator: Like, value: 1}]}}\n", "'Like'"),
        (
            "    validate: {deny: {conditions: [{key: '{{ request.object.x }}', operator: Equals, value: 1}]}}\n",
            "not there",
        ),
        ("    validate: {}\n", "`validate` by nothing"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(repository: Repository, body: str, told: str) -> None:
    verdict = judge(repository({"p.yaml": rule(body), "o.yaml": POD.replace("IMAGE", "a:1")}))
    assert verdict.decision == "incomplete"
    assert any(told in gap.reason for gap in verdict.coverage.gaps if gap.is_fatal), verdict.coverage.gaps


def test_rules_that_change_resources_are_noted(repository: Repository) -> None:
    policy = rule("    mutate: {patchStrategicMerge: {metadata: {labels: {a: b}}}}\n")
    verdict = judge(repository({"p.yaml": policy, "o.yaml": POD.replace("IMAGE", "a:1")}))
    assert verdict.decision == "accepted"
    assert "rule images/pinned would mutate resources" in str(verdict.coverage.gaps)


@pytest.mark.parametrize(
    ("value", "pattern", "fits"),
    [
        ("nginx", "ng*x", True),
        ("nginx", "?", False),
        ("a", "?*", True),
        ("", "?*", False),
        ("b", "a|b", True),
        ("x", "!a & !b", True),
        ("a", "!a & !b", False),
        (5, ">4", True),
        (5, ">5", False),
        ("1Gi", "<=1024Mi", True),
        ("500m", "<1", True),
        (7, "5-10", True),
        (7, "5!-10", False),
        (11, "5!-10", True),
        ("90s", ">1m", True),
        (True, True, True),
        ("true", True, False),
        (True, "true", True),
        (1, 1, True),
        ("1", 1, True),
        (None, None, True),
        ("", None, True),
        ("x", None, False),
        (None, "*", False),
        (None, "!x", False),
        ("1000m", "1", True),
        ("[a]", "[a]", True),
        (1.5, "1.5", True),
        ("abc", ">1", False),
    ],
)
def test_scalars_fit_patterns(value: Any, pattern: Any, fits: bool) -> None:
    assert patterns.is_scalar_match(value, pattern) is fits


@pytest.mark.parametrize(
    ("value", "pattern", "outcome"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1}}, None),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ("a", "b")),
        ({"a": 1}, {"b": 1}, ("b",)),
        ({"a": 1}, {"b": "*"}, ("b",)),
        ({"a": 1}, {"X(b)": None}, None),
        ({"b": 1}, {"X(b)": None}, ("b",)),
        ({}, {"=(b)": 1}, None),
        ({"b": 2}, {"=(b)": 1}, ("b",)),
        ({"a": 1, "b": 2}, {"(a)": 1, "b": 3}, ("b",)),
        ({"a": 2, "b": 2}, {"(a)": 1, "b": 3}, "skipped"),
        ({"b": 2}, {"(a)": 1, "b": 3}, "skipped"),
        ({"a": 2, "b": 2}, {"<(a)": 1, "b": 3}, "skipped"),
        ({"l": [{"n": "x", "v": 1}, {"n": "y", "v": 2}]}, {"l": [{"(n)": "y", "v": 2}]}, None),
        ({"l": [{"n": "x", "v": 1}, {"n": "y", "v": 2}]}, {"l": [{"(n)": "y", "v": 3}]}, ("l", 1, "v")),
        ({"l": [{"n": "x"}]}, {"l": [{"(n)": "y", "v": 3}]}, "skipped"),
        ({"l": [{"n": "x"}, {"n": "y"}]}, {"^(l)": [{"n": "y"}]}, None),
        ({"l": [{"n": "x"}]}, {"^(l)": [{"n": "y"}]}, ("l",)),
        ({"l": ["a", "b"]}, {"l": ["a|b"]}, None),
        ({"l": ["a", "c"]}, {"l": ["a|b"]}, ("l", 1)),
        ({"labels": {"app.kubernetes.io/name": "x"}}, {"labels": {"app*": "?*"}}, None),
        ({"labels": {"other": "x"}}, {"labels": {"app*": "?*"}}, ("labels", "app*")),
        ({"l": 1}, {"l": [{"a": 1}]}, ("l",)),
        ([], {"a": 1}, ()),
    ],
)
def test_collections_fit_patterns(value: Any, pattern: Any, outcome: Any) -> None:
    try:
        patterns.require_match(value, pattern)
        got: Any = None
    except patterns.PatternMismatch as error:
        got = error.path
    except patterns.PatternSkipped:
        got = "skipped"
    assert got == outcome


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    )
)
def test_any_value_against_itself_or_anything_only_ever_fits_or_is_told(value: Any) -> None:
    for pattern in (value, {"a": value}, [value], "?*"):
        try:
            patterns.require_match(value, pattern)
        except (patterns.PatternMismatch, patterns.PatternSkipped, PolicyError):
            continue


@pytest.mark.parametrize(
    ("key", "operator", "value", "holds"),
    [
        ("a", "Equals", "a", True),
        ("a", "Equals", "*", True),
        (1, "Equals", "1", True),
        ([1], "Equals", [1], True),
        ("1Gi", "Equals", "1024Mi", True),
        ("a", "NotEquals", "b", True),
        (True, "Equals", True, True),
        ("a", "In", ["a", "b"], True),
        ("a", "NotIn", ["b"], True),
        (["a", "z"], "AnyIn", ["a"], True),
        (["a", "z"], "AllIn", ["a"], False),
        (["a", "z"], "AnyNotIn", ["a"], True),
        (["a", "z"], "AllNotIn", ["a"], False),
        ([], "AllNotIn", ["a"], True),
        (5, "AnyIn", "1-10", True),
        (11, "AnyIn", "1-10", False),
        (5, "GreaterThan", 4, True),
        ("2h", "GreaterThan", "90m", True),
        ("1Gi", "LessThanOrEquals", "1Gi", True),
        (3600, "DurationLessThan", "2h", True),
        ("x", "DurationLessThan", "2h", False),
    ],
)
def test_conditions_hold(key: Any, operator: str, value: Any, holds: bool) -> None:
    assert conditions.is_met([{"key": key, "operator": operator, "value": value}], {}) is holds


def test_any_and_all_of_conditions() -> None:
    yes, no = ({"key": 1, "operator": "Equals", "value": value} for value in (1, 2))
    assert conditions.is_met({"any": [yes, no], "all": [yes]}, {})
    assert not conditions.is_met({"any": [yes, no], "all": [yes, no]}, {})
    assert conditions.is_met([{"any": [no, yes]}, {"all": [yes]}], {})
    assert not conditions.is_met({"any": []}, {})


def test_variables_may_hold_variables_and_are_never_left_as_they_are() -> None:
    context = {"request": {"object": {"metadata": {"labels": {"id": "a1"}}}}}
    written = "{{ regex_match('^[a-z]{1}[0-9]{1}$', '{{ request.object.metadata.labels.id }}') }}"
    assert resolve_variables(written, context) is True
    assert resolve_variables("id {{ request.object.metadata.labels.id }}!", context) == "id a1!"
    with pytest.raises(PolicyError):
        resolve_variables("{{ {{ {{", context)


@pytest.mark.parametrize(
    ("wanted", "is_it"),
    [
        ("Pod", True),
        ("v1/Pod", True),
        ("*", True),
        ("P*", True),
        ("apps/v1/Pod", False),
        ("*/v1/Pod", True),
        ("v2/Pod", False),
        ("Pod/exec", False),
        ("Deployment", False),
    ],
)
def test_kinds_are_written_in_many_ways(wanted: str, is_it: bool) -> None:
    assert match.is_kind(wanted, ObjectRef("v1", "Pod", "a", "b")) is is_it


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1.0),
        ("100m", 0.1),
        ("1Ki", 1024.0),
        ("2e3", 2000.0),
        ("1E", 1e18),
        ("1.5Gi", 1.5 * 2**30),
        ("x", None),
        ("1h", None),
    ],
)
def test_quantities(text: str, number: float | None) -> None:
    found = parse_quantity(text)
    assert (float(found) if found is not None else None) == number


@pytest.mark.parametrize(
    ("text", "seconds"), [("1h30m", 5400.0), ("1.5s", 1.5), ("0", 0.0), ("-1m", -60.0), ("5", None), ("1d", None)]
)
def test_durations(text: str, seconds: float | None) -> None:
    found = parse_duration(text)
    assert (float(found) if found is not None else None) == seconds
