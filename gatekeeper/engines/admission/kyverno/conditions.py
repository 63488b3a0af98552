"""Evaluates conditions of Kyverno policies: `preconditions` and `deny.conditions`.

Source: https://kyverno.io/docs/policy-types/cluster-policy/validate/#deny-rules and Kyverno
`pkg/engine/variables/operator`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gatekeeper.engines.admission.kyverno.patterns import RANGE, compare, format_scalar, is_wildcard_match
from gatekeeper.engines.admission.kyverno.quantities import parse_duration
from gatekeeper.engines.admission.kyverno.variables import resolve_variables
from gatekeeper.errors import PolicyError

ConditionOperator = Callable[[Any, Any], bool]


def is_met(conditions: Any, context: Mapping[str, Any]) -> bool:
    """Whether conditions hold: all of a list, or a mapping with `any` and `all`.

    Args:
        context: the root variables of expressions.

    Raises:
        PolicyError: they are malformed, or contain an unsupported operator or variable.
    """
    if isinstance(conditions, list):
        groups = [part for part in conditions if isinstance(part, dict) and ("any" in part or "all" in part)]
        if groups and len(groups) == len(conditions):
            return all(is_met(part, context) for part in groups)
        return all(_is_condition_met(condition, context) for condition in conditions)
    if not isinstance(conditions, dict):
        raise PolicyError("conditions must be a list, or a mapping with any and all")
    for key in conditions.keys() - {"any", "all"}:
        raise PolicyError(f"unknown field `{key}` in conditions; the fields are any and all")
    alternatives, required = conditions.get("any"), conditions.get("all")
    return (alternatives is None or any(_is_condition_met(condition, context) for condition in alternatives)) and (
        required is None or all(_is_condition_met(condition, context) for condition in required)
    )


def _is_condition_met(condition: Any, context: Mapping[str, Any]) -> bool:
    if not isinstance(condition, dict) or "key" not in condition or "operator" not in condition:
        raise PolicyError("a condition must be a mapping with key, operator and value")
    operator = OPERATORS.get(str(condition["operator"]).lower())
    if operator is None:
        raise PolicyError(f"the operator {condition['operator']!r} is not supported")
    return operator(resolve_variables(condition["key"], context), resolve_variables(condition.get("value"), context))


def _is_equal(key: Any, value: Any) -> bool:
    if isinstance(key, dict | list) or isinstance(value, dict | list) or key is None or value is None:
        return bool(key == value)
    if isinstance(key, bool) or isinstance(value, bool):
        return format_scalar(key) == format_scalar(value)
    expected = format_scalar(value)
    return expected is not None and compare(key, expected, "")


def _is_among(key: Any, values: Any) -> bool:
    """Whether a value is in a list or range, or matches a pattern; both sides may contain wildcards."""
    text = format_scalar(key)
    if text is None:
        return isinstance(values, list) and key in values
    if not isinstance(values, list):
        bounds = RANGE.fullmatch(format_scalar(values) or "")
        if bounds and not bounds.group(2):
            return compare(key, bounds.group(1), ">=") and compare(key, bounds.group(3), "<=")
        values = [values]
    candidates = [candidate for item in values if (candidate := format_scalar(item)) is not None]
    return any(is_wildcard_match(candidate, text) or is_wildcard_match(text, candidate) for candidate in candidates)


def _to_list(key: Any) -> list[Any]:
    return key if isinstance(key, list) else [key]


def _build_comparison(operator: str) -> ConditionOperator:
    return lambda key, value: compare(key, format_scalar(value) or "", operator)


def _build_duration_comparison(operator: str) -> ConditionOperator:
    """Compares durations, in Go's notation or as numbers of seconds."""

    def holds(key: Any, value: Any) -> bool:
        left, right = _format_duration(key), _format_duration(value)
        return left is not None and right is not None and compare(left, right, operator)

    return holds


def _format_duration(value: Any) -> str | None:
    text = format_scalar(value)
    if text is None or (isinstance(value, str) and parse_duration(text) is None):
        return None
    return text if isinstance(value, str) else f"{text}s"


def _require_scalar(operator: ConditionOperator) -> ConditionOperator:
    """The deprecated `In` and `NotIn`, whose meaning for lists differs between versions of Kyverno."""

    def holds(key: Any, value: Any) -> bool:
        if isinstance(key, list):
            raise PolicyError(
                "the operators In and NotIn are not supported for lists; use AnyIn, AllIn, AnyNotIn or AllNotIn"
            )
        return operator(key, value)

    return holds


OPERATORS: dict[str, ConditionOperator] = {
    **dict.fromkeys(("equal", "equals"), _is_equal),
    **dict.fromkeys(("notequal", "notequals"), lambda key, value: not _is_equal(key, value)),
    "in": _require_scalar(_is_among),
    "notin": _require_scalar(lambda key, value: not _is_among(key, value)),
    "anyin": lambda key, value: any(_is_among(item, value) for item in _to_list(key)),
    "allin": lambda key, value: all(_is_among(item, value) for item in _to_list(key)),
    "anynotin": lambda key, value: any(not _is_among(item, value) for item in _to_list(key)),
    "allnotin": lambda key, value: all(not _is_among(item, value) for item in _to_list(key)),
    "greaterthan": _build_comparison(">"),
    "greaterthanorequals": _build_comparison(">="),
    "lessthan": _build_comparison("<"),
    "lessthanorequals": _build_comparison("<="),
    "durationgreaterthan": _build_duration_comparison(">"),
    "durationgreaterthanorequals": _build_duration_comparison(">="),
    "durationlessthan": _build_duration_comparison("<"),
    "durationlessthanorequals": _build_duration_comparison("<="),
}
