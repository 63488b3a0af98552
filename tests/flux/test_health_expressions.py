"""CEL expressions decide whether objects and dependencies are ready."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.errors import SpecError
from gatekeeper.flux import health_expressions
from gatekeeper.flux.health_expressions import HealthRule
from gatekeeper.kube.decoder import FieldError, FieldReader


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ({"status": {"phase": "Going"}}, "InProgress"),
        ({"status": {"phase": "Bad"}}, "Failed"),
        ({"status": {"phase": "Good"}}, "Current"),
        # A missing field is an error of the expression, and no failure of the object.
        ({"status": {"phase": "Bad", "going": True}}, "InProgress"),
        ({"status": {}}, "InProgress"),
        ({}, "InProgress"),
    ],
)
def test_in_progress_precedes_failed_and_failed_precedes_current(value: dict[str, Any], word: str) -> None:
    texts = {
        "inProgress": "has(status.going) || status.phase == 'Going'",
        "failed": "status.phase == 'Bad'",
        "current": "status.phase == 'Good'",
    }
    assert health_expressions.evaluate_health(value, HealthRule("example.com", "", texts)).status == word


def test_rule_applies_to_its_group_in_any_version_and_to_its_kind() -> None:
    fields = {"apiVersion": "example.com/v1", "kind": "Widget", "current": "true"}
    rule = health_expressions.parse_health_rule(FieldReader(fields))
    assert rule.is_for("example.com/v2", "Widget") and not rule.is_for("example.com/v1", "Gadget")
    assert not rule.is_for("v1", "Widget")
    with pytest.raises(FieldError, match="is missing"):
        health_expressions.parse_health_rule(FieldReader({"apiVersion": "example.com/v1"}))
    with pytest.raises(SpecError):
        health_expressions.parse_health_rule(FieldReader({**fields, "current": "status."}))


def test_ready_expression_reads_both_kustomizations() -> None:
    expression = "self.spec.stage == dep.spec.stage"
    one, two = {"spec": {"stage": 1}}, {"spec": {"stage": 2}}
    assert health_expressions.find_unready_reason(expression, one, one) == ""
    assert health_expressions.find_unready_reason(expression, one, two) == "`readyExpr` evaluates to false"
    assert "`readyExpr` evaluates to" in health_expressions.find_unready_reason(expression, one, {})
    with pytest.raises(SpecError, match="`readyExpr`"):
        health_expressions.find_unready_reason("self.", one, two)
