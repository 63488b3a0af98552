"""Typed reading of policy fields."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.engines.admission import policy_fields
from gatekeeper.errors import PolicyError


def test_read_text_requires_a_text() -> None:
    assert policy_fields.read_text({"a": "x"}, "a") == "x"
    with pytest.raises(PolicyError, match="`a` must be a string"):
        policy_fields.read_text({"a": 1}, "a")


@pytest.mark.parametrize("value", ["a", [1], {"a": 1}])
def test_parse_texts_refuses_other_values(value: Any) -> None:
    assert (policy_fields.parse_texts(None, "f"), policy_fields.parse_texts(["a"], "f")) == ((), ("a",))
    with pytest.raises(PolicyError, match="`f` must be a list of strings"):
        policy_fields.parse_texts(value, "f")


def test_read_mappings_refuses_other_values() -> None:
    assert policy_fields.read_mappings({}, "f") == []
    with pytest.raises(PolicyError, match="`f` must be a list of mappings"):
        policy_fields.read_mappings({"f": ["a"]}, "f")


def test_reject_unknown_fields_names_the_field_and_the_known_ones() -> None:
    policy_fields.reject_unknown_fields({"a": 1}, frozenset("ab"), "the test")
    with pytest.raises(PolicyError, match="unknown field `c` in the test; the fields are a, b"):
        policy_fields.reject_unknown_fields({"c": 1}, frozenset("ab"), "the test")
