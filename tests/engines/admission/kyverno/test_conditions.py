"""Conditions of Kyverno policies."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.engines.admission.kyverno import conditions
from gatekeeper.errors import PolicyError


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
def test_operators(key: Any, operator: str, value: Any, holds: bool) -> None:
    assert conditions.is_met([{"key": key, "operator": operator, "value": value}], {}) is holds


def test_any_and_all() -> None:
    yes, no = ({"key": 1, "operator": "Equals", "value": value} for value in (1, 2))
    assert conditions.is_met({"any": [yes, no], "all": [yes]}, {})
    assert not conditions.is_met({"any": [yes, no], "all": [yes, no]}, {})
    assert conditions.is_met([{"any": [no, yes]}, {"all": [yes]}], {})
    assert not conditions.is_met({"any": []}, {})


def test_in_with_a_list_is_refused_because_versions_of_kyverno_differ() -> None:
    with pytest.raises(PolicyError, match="use AnyIn, AllIn"):
        conditions.is_met([{"key": ["a"], "operator": "In", "value": ["a"]}], {})
