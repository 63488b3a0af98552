"""Answers of rules as findings: messages, fields and how their place is known."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.engines.rego import loader, results
from gatekeeper.engines.rego.model import RuleQuery
from gatekeeper.model import FieldPath, Location
from gatekeeper.protocols import QueryResult
from tests.engines.resources import parse_resources

RULE = RuleQuery("a/deny", "warning", "mend it", (), loader.parse_module("package a\n", "a.rego"))
[MAP] = parse_resources("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata: {x: '1'}\n")


def build(value: Any) -> list[results.DraftFinding]:
    return list(results.build_drafts(QueryResult(3, "data.a.deny", value, ""), MAP, RULE))


@pytest.mark.parametrize(
    ("value", "messages"),
    [
        (["one", "two"], ["one", "two"]),
        ([{"msg": "one"}, {"msg": 7}], ["one", "a/deny says 7"]),
        ("text", ["text"]),
        (True, ["a/deny says True"]),
        ([{"other": 1}], ["a/deny says None"]),
        ([None, False, {}], []),
        (False, []),
    ],
)
def test_each_item_of_an_answer_is_a_finding(value: Any, messages: list[str]) -> None:
    drafts = build(value)
    assert [draft.message for draft in drafts] == messages
    assert all((draft.resource_index, draft.query) == (3, "data.a.deny") for draft in drafts)


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({"msg": "m", "field": ["spec", "containers", 0]}, ("spec", "containers", 0)),
        ({"msg": "m", "field": "spec.containers[0].image"}, ("spec", "containers", 0, "image")),
        ({"msg": "m", "path": "data.x"}, ("data", "x")),
        ({"msg": "m", "field": ["a", None]}, None),
        ({"msg": "m", "field": ""}, None),
        ({"msg": "m", "field": 7}, None),
        ("m", None),
    ],
)
def test_a_rule_can_name_the_field(item: Any, path: FieldPath | None) -> None:
    [draft] = build([item])
    assert draft.field_path == path
    assert draft.location_precision == ("field" if path is not None else "")


def test_a_finding_says_how_its_place_is_known() -> None:
    [draft] = build(["m"])
    traced = results.build_finding(draft.with_traced_path(("data", "x")))
    assert (traced.location, traced.location_precision) == (Location("a.yaml", 5, 11), "traced")
    unknown = results.build_finding(draft.with_traced_path(None))
    assert (unknown.location.line, unknown.location_precision, unknown.field_path) == (1, "resource", None)
    assert (unknown.rule, unknown.severity, unknown.hint) == ("a/deny", "warning", "mend it")
