"""Policies in CEL: conditions, messages and errors."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gatekeeper.engines.admission.cel_policies import CelPolicy, CelResult
from gatekeeper.errors import PolicyError


def evaluate(spec: dict[str, Any], value: Any) -> CelResult:
    [result] = CelPolicy(spec).evaluate([{"object": orjson.dumps(value)}], 1)
    return result


def test_a_false_validation_gives_its_message() -> None:
    spec = {"validations": [{"expression": "object.a == 1", "message": " must be one "}]}
    assert evaluate(spec, {"a": 1}) == CelResult([], "")
    assert evaluate(spec, {"a": 2}) == CelResult(["must be one"], "")


def test_the_message_expression_is_preferred_and_the_expression_is_the_default() -> None:
    validation = {"expression": "object.a == 1", "messageExpression": "'not ' + string(object.a)"}
    assert evaluate({"validations": [validation]}, {"a": 2}).messages == ["not 2"]
    assert evaluate({"validations": [{"expression": "object.a == 1"}]}, {"a": 2}).messages == [
        "failed expression: object.a == 1"
    ]


def test_a_false_condition_skips_the_policy() -> None:
    spec = {"matchConditions": [{"name": "c", "expression": "object.a == 1"}], "validations": [{"expression": "false"}]}
    assert evaluate(spec, {"a": 2}) == CelResult([], "")
    assert len(evaluate(spec, {"a": 1}).messages) == 1
    assert "the condition `object.a == 1` gave" in evaluate(spec, {}).error


def test_a_missing_field_is_an_error() -> None:
    assert "`object.a == 1` gave" in evaluate({"validations": [{"expression": "object.a == 1"}]}, {}).error


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({}, "has no `validations`"),
        ({"validations": {}}, "has no `validations`"),
        ({"validations": [{"message": "x"}]}, "`expression` must be a string"),
        ({"validations": ["true"]}, "must be a list of mappings"),
        ({"validations": [{"expression": "object."}]}, "CEL"),
    ],
)
def test_a_malformed_policy_is_refused(spec: dict[str, Any], reason: str) -> None:
    with pytest.raises(PolicyError, match=reason):
        CelPolicy(spec)


def test_has_variable_finds_root_variables_only() -> None:
    policy = CelPolicy({"validations": [{"expression": "object.params == 1", "messageExpression": "request.name"}]})
    assert policy.has_variable("object") and policy.has_variable("request") and not policy.has_variable("params")
