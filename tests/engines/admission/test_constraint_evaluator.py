"""Constraints evaluated on requests, in Rego and in CEL, with the resources that they may read."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from gatekeeper.config import Config
from gatekeeper.engines.admission import admission_request, constraint_templates, constraints
from gatekeeper.engines.admission.constraint_evaluator import (
    ConstraintEvaluator,
    ConstraintRequest,
    build_inventory,
)
from gatekeeper.model import Resource
from tests.conftest import Repository, judge, needs
from tests.engines.admission.test_constraints import ALONE, CEL, CONSTRAINT, OBJECT, TEMPLATE
from tests.engines.resources import parse_resources


def test_a_constraint_reads_the_inventory(repository: Repository) -> None:
    constraint = "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: UniqueValue\nmetadata: {name: hosts}\n"
    other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME, namespace: b}\ndata: {host: HOST}\n"
    files: dict[str, str | bytes] = {
        "t.yaml": ALONE,
        "c.yaml": constraint,
        "1.yaml": other.replace("NAME", "one").replace("HOST", "a.example"),
        "2.yaml": other.replace("NAME", "two").replace("HOST", "a.example"),
        "3.yaml": other.replace("NAME", "three").replace("HOST", "b.example"),
    }
    found = [one for one in judge(repository(files)).findings if one.rule == "UniqueValue/hosts"]
    assert [(finding.location.file, finding.message) for finding in found] == [
        ("1.yaml", "a.example is taken"),
        ("2.yaml", "a.example is taken"),
    ]


def test_a_template_in_cel_is_evaluated(repository: Repository) -> None:
    constraint = (
        "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: CelName\nmetadata: {name: names}\n"
        "spec: {parameters: {prefix: web-}, match: {kinds: [{apiGroups: ['*'], kinds: [ConfigMap]}]}}\n"
    )
    root = repository({"t.yaml": CEL, "c.yaml": constraint, "o.yaml": OBJECT})
    found = [finding.message for finding in judge(root).findings if finding.rule == "CelName/names"]
    assert found == ["name must begin with web-"]


@needs("opa")
def test_both_engines_find_the_same(repository: Repository) -> None:
    files: dict[str, str | bytes] = {"t.yaml": TEMPLATE, "c.yaml": CONSTRAINT, "o.yaml": OBJECT.replace("TEAM", "x")}
    findings = []
    for engine in ("embedded", "opa"):
        root = repository({**files, "gatekeeper.yaml": f"library: {{profile: 'off'}}\nengine: {engine}\n"})
        findings.append(judge(root).findings)
    assert findings[0] == findings[1] and findings[0]


CEL_CONSTRAINT = CONSTRAINT.replace("TeamLabel", "CelName").replace("{teams: [web]}", "{prefix: web-}")


@pytest.fixture
def evaluator() -> Iterator[ConstraintEvaluator]:
    """A constraint in Rego, and one in CEL."""
    templates = {
        template.kind: template
        for text in (TEMPLATE, CEL)
        for template in map(constraint_templates.parse_template, parse_resources(text))
    }
    loaded = [
        constraints.parse_constraint(resource, templates)
        for text in (CONSTRAINT, CEL_CONSTRAINT)
        for resource in parse_resources(text)
    ]
    found = ConstraintEvaluator([one for one in loaded if one], [], Config(), 1)
    yield found
    found.close()


def list_messages(evaluator: ConstraintEvaluator, *inputs: Resource) -> list[tuple[int, str, str]]:
    queries = list(evaluator.build_rule_queries())
    results = evaluator.evaluate([(resource.json, queries) for resource in inputs])
    return [(result.input_index, result.query, str(result.value) + result.error) for result in results]


def test_results_are_in_the_order_of_inputs_and_constraints(evaluator: ConstraintEvaluator) -> None:
    [bad] = parse_resources(OBJECT)
    [good] = parse_resources(OBJECT.replace("TEAM", "web").replace("name: a", "name: web-a"))
    found = list_messages(evaluator, bad, good, bad)
    assert [(index, query) for index, query, _ in found] == [
        (0, "TeamLabel/teams 0"),
        (0, "CelName/teams 1"),
        (2, "TeamLabel/teams 0"),
        (2, "CelName/teams 1"),
    ]
    assert "no team TEAM" in found[0][2] and "name must begin with web-" in found[1][2]


def test_a_rule_has_the_first_sentence_of_its_template_as_hint(evaluator: ConstraintEvaluator) -> None:
    rules = evaluator.build_rule_queries()
    assert [(rule.name, rule.hint) for rule in rules.values()] == [
        ("TeamLabel/teams", "Everything belongs to a team"),
        ("CelName/teams", ""),
    ]


def test_an_error_of_an_expression_is_a_result_and_no_acceptance(evaluator: ConstraintEvaluator) -> None:
    [resource] = parse_resources(OBJECT)
    json = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{}}'
    request = admission_request.build_request(resource.ref, json)
    [result] = evaluator.evaluate_requests([ConstraintRequest(0, "CelName/teams 1", request, json)])
    assert "resulted in error: no such key: name" in str(result.value)


def test_the_inventory_holds_objects_by_scope_version_kind_and_name() -> None:
    text = OBJECT + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n"
    namespaced, cluster = parse_resources(text)
    assert orjson.loads(orjson.dumps(build_inventory([namespaced, cluster]))) == {
        "namespace": {"b": {"v1": {"ConfigMap": {"a": namespaced.value}}}},
        "cluster": {"v1": {"Namespace": {"b": cluster.value}}},
    }
