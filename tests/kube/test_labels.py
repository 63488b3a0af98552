"""Labels and label selectors."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.errors import PolicyError
from gatekeeper.kube.labels import has_negative_expression, is_selected
from gatekeeper.model import read_labels

LABELS = {"app": "web", "tier": "front"}


def expression(operator: str, key: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "web", "tier": "back"}}, False),
        (expression("In", "app", "web", "api"), True),
        (expression("In", "zone", "a"), False),
        (expression("NotIn", "app", "web"), False),
        (expression("NotIn", "zone", "a"), True),
        (expression("Exists", "app"), True),
        (expression("Exists", "zone"), False),
        (expression("DoesNotExist", "app"), False),
        (expression("DoesNotExist", "zone"), True),
        ({"matchLabels": {"app": "web"}, **expression("Exists", "zone")}, False),
    ],
)
def test_a_selector_selects_as_kubernetes_does(selector: dict[str, Any], expected: bool) -> None:
    assert is_selected(selector, LABELS, "selector") is expected


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("app", "`selector` must be a mapping"),
        ({"app": "web"}, "`selector` has the unknown field `app`"),
        ({"matchLabels": ["app"]}, "`selector.matchLabels` must be a mapping"),
        ({"matchExpressions": ["app"]}, "`selector.matchExpressions` must be a list of mappings"),
        (expression("Near", "app"), "has the unknown operator 'Near'"),
        # A malformed expression is an error even if another one decides already.
        ({"matchLabels": {"app": "x"}, **expression("Near", "app")}, "unknown operator"),
    ],
)
def test_a_malformed_selector_is_an_error(selector: Any, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        is_selected(selector, LABELS, "selector")


@given(st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy")), st.sampled_from("abc"), st.sampled_from("xy"))
def test_not_in_is_the_opposite_of_in(labels: dict[str, str], key: str, value: str) -> None:
    results = {is_selected(expression(operator, key, value), labels, "s") for operator in ("In", "NotIn")}
    assert results == {True, False}


def test_negative_expressions_are_found() -> None:
    assert has_negative_expression(expression("NotIn", "a", "b"))
    assert not has_negative_expression({"matchLabels": {"a": "b"}, **expression("In", "a", "b")})


@pytest.mark.parametrize("value", [{}, {"metadata": {"labels": ["a"]}}, {"metadata": None}, None])
def test_malformed_labels_are_none(value: Any) -> None:
    assert read_labels(value) == {}
