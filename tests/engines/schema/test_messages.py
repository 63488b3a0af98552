"""Schema errors in words: the field and what is wrong, and never the value."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from gatekeeper.engines.schema import messages
from gatekeeper.model import FieldPath

SECRET = "hunter2-Zk9vQ1x7Lm3"


def describe(schema: dict[str, Any], value: Any, path: FieldPath = ("spec", "a")) -> list[tuple[str, str]]:
    errors = jsonschema_rs.validator_for(schema).iter_errors(value)
    faults = [fault for error in errors for fault in messages.describe_error(error.kind, path, value)]
    assert not any(SECRET in fault.message for fault in faults)
    return [(fault.rule, fault.message) for fault in faults]


@pytest.mark.parametrize(
    ("schema", "value", "rule", "message"),
    [
        ({"type": "integer"}, SECRET, "type", "`spec.a` must be an integer, not a string"),
        ({"type": ["integer", "null"]}, True, "type", "`spec.a` must be an integer, not a boolean"),
        ({"type": ["integer", "string"]}, [SECRET], "type", "`spec.a` must be an integer or a string, not a list"),
        ({"type": "object"}, None, "type", "`spec.a` must be a mapping, not null"),
        ({"enum": ["a", "b"]}, SECRET, "enum", "`spec.a` must be one of a, b"),
        ({"maxLength": 3}, SECRET, "constraint", "`spec.a` violates `maxLength` (3)"),
        ({"pattern": "^x$"}, SECRET, "constraint", "`spec.a` violates `pattern` (^x$)"),
        ({"oneOf": [{"type": "integer"}, {"type": "boolean"}]}, SECRET, "type", "must be an integer or a boolean"),
        ({"anyOf": [{"type": "integer"}, {"minLength": 99}]}, SECRET, "type", "does not match any form"),
        ({"not": {}}, SECRET, "constraint", "violates `not`"),
    ],
)
def test_a_fault_is_described_without_the_value(schema: dict[str, Any], value: Any, rule: str, message: str) -> None:
    [(found_rule, found)] = describe(schema, value)
    assert found_rule == rule and message in found


def test_each_unknown_field_is_a_separate_fault_at_its_key() -> None:
    schema = {"properties": {"b": {}}, "additionalProperties": False}
    [error] = jsonschema_rs.validator_for(schema).iter_errors({"b": 1, "x": SECRET, "y": 2})
    faults = list(messages.describe_error(error.kind, ("spec",), None))
    assert [(fault.field, fault.is_key, fault.rule) for fault in faults] == [
        (("spec", "x"), True, "unknown-field"),
        (("spec", "y"), True, "unknown-field"),
    ]


def test_a_missing_field_is_named_with_its_path_and_a_fault_of_the_whole_is_that_of_the_resource() -> None:
    assert describe({"required": ["b"]}, {}) == [("required", "required field `spec.a.b` is missing")]
    assert describe({"type": "integer"}, {}, ()) == [("type", "the resource must be an integer, not a mapping")]
