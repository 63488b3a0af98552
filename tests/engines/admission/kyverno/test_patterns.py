"""Patterns of Kyverno policies."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.engines.admission.kyverno import patterns
from gatekeeper.errors import PolicyError


@pytest.mark.parametrize(
    ("value", "pattern", "is_match"),
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
def test_scalars_match_patterns(value: Any, pattern: Any, is_match: bool) -> None:
    assert patterns.is_scalar_match(value, pattern) is is_match


@pytest.mark.parametrize(
    ("value", "pattern", "expected"),
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
def test_collections_match_patterns(value: Any, pattern: Any, expected: Any) -> None:
    try:
        patterns.require_match(value, pattern)
        result: Any = None
    except patterns.PatternMismatch as error:
        result = error.path
    except patterns.PatternSkipped:
        result = "skipped"
    assert result == expected


def outcome_of(value: Any, pattern: Any) -> type[Exception] | None:
    """The error of a match, if it is one that callers handle."""
    try:
        patterns.require_match(value, pattern)
    except (patterns.PatternMismatch, patterns.PatternSkipped, PolicyError) as error:
        return type(error)
    return None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    )
)
def test_any_value_matches_a_pattern_or_raises_a_known_error(value: Any) -> None:
    for pattern in (value, {"a": value}, [value], "?*"):
        assert outcome_of(value, pattern) is outcome_of(value, pattern)
