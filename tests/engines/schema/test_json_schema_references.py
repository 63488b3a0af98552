"""References of JSON Schemas: endless ones are refused, recursive data structures are not."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gatekeeper.engines.schema.json_schema_references import reject_endless_references
from gatekeeper.errors import PolicyError
from tests.conftest import Repository, command
from tests.gate.test_pipeline import GOOD

A, B = {"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}
DOUBLING = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)}
ENDLESS: dict[str, tuple[dict[str, Any], str]] = {
    "itself": ({"$ref": "#"}, "`$ref: #` leads back to itself for the same value"),
    "each other": ({**A, "$defs": {"a": B, "b": A}}, "leads back to itself"),
    "in allOf": ({**A, "$defs": {"a": {"allOf": [{"anyOf": [B]}]}, "b": {"not": A}}}, "leads back to itself"),
    "in then": ({"if": True, "then": {"$ref": "#"}}, "leads back to itself"),
    "by a name with a slash": ({"$ref": "#/$defs/a~1b%20", "$defs": {"a/b ": {"$ref": "#/$defs/a~1b%20"}}}, "itself"),
    "in a list": ({"allOf": [{"$ref": "#/allOf/0"}]}, "leads back to itself"),
    "doubling": ({"$ref": "#/$defs/a0", "$defs": {**DOUBLING, "a40": True}}, "expand to more than 100,000 schemas"),
}
FINITE: list[dict[str, Any]] = [
    {},
    {"properties": {"next": {"$ref": "#"}}},
    {**A, "$defs": {"a": {"items": A}}},
    {"properties": {"x": A, "y": A}, "$defs": {"a": {"properties": {"z": B}}, "b": {"type": "string"}}},
    {"$defs": {"a": A}},
    {"enum": [{"$ref": "#"}], "const": {"$ref": "#"}},
    {"$ref": "#/$defs/missing"},
    {"$ref": "https://example.com/other.json"},
    {"$ref": 5},
    {"$ref": "#/$defs/a0", "$defs": {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(5000)}},
]


@pytest.mark.parametrize("case", ENDLESS)
def test_endless_references_are_refused(case: str) -> None:
    schema, message = ENDLESS[case]
    with pytest.raises(PolicyError) as raised:
        reject_endless_references(schema)
    assert message in str(raised.value)


@pytest.mark.parametrize("schema", FINITE, ids=range(len(FINITE)))
def test_other_references_are_not_refused(schema: dict[str, Any]) -> None:
    reject_endless_references(schema)


@pytest.mark.parametrize("case", ["each other", "doubling"])
def test_a_policy_that_never_ends_is_named_and_the_rest_is_checked(repository: Repository, case: str) -> None:
    schema, message = ENDLESS[case]
    root = repository(
        {
            "gatekeeper.yaml": "library: {profile: 'off'}\npolicies: {paths: [p]}\n",
            "p/a.schema.json": orjson.dumps(schema),
            "a.yaml": GOOD.replace("\ndata:", "\ndta:"),
        }
    )
    code, out, err = command("check", root)
    assert (code, err) == (3, ""), out
    assert "p/a.schema.json: the policy could not be evaluated: " in out and message in out
    assert "unknown field `dta`" in out
