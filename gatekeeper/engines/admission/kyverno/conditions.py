"""Conditions of Kyverno policies: `preconditions` and `deny.conditions`.

Source: https://kyverno.io/docs/policy-types/cluster-policy/validate/#deny-rules and Kyverno
`pkg/engine/variables/operator`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gatekeeper.engines.admission.kyverno.patterns import RANGE, as_text, compare, wildcard
from gatekeeper.engines.admission.kyverno.quantities import duration
from gatekeeper.engines.admission.kyverno.variables import resolved
from gatekeeper.errors import PolicyError

Operator = Callable[[Any, Any], bool]


def hold(conditions: Any, context: Mapping[str, Any]) -> bool:
    """Whether conditions hold: a list (all of them), or a mapping with `any` and `all`.

    Raises:
        PolicyError: they are malformed, or hold an operator or variable that is not known here.
    """
    if isinstance(conditions, list):
        groups = [part for part in conditions if isinstance(part, dict) and ("any" in part or "all" in part)]
        if groups and len(groups) == len(conditions):
            return all(hold(part, context) for part in groups)
        return all(_holds(condition, context) for condition in conditions)
    if not isinstance(conditions, dict):
        raise PolicyError("conditions must be a list, or a mapping with any and all")
    for key in conditions.keys() - {"any", "all"}:
        raise PolicyError(f"conditions know no `{key}`; there are any and all")
    some, every = conditions.get("any"), conditions.get("all")
    return (some is None or any(_holds(one, context) for one in some)) and (
        every is None or all(_holds(one, context) for one in every)
    )


def _holds(condition: Any, context: Mapping[str, Any]) -> bool:
    if not isinstance(condition, dict) or "key" not in condition or "operator" not in condition:
        raise PolicyError("a condition must be a mapping with key, operator and value")
    operator = OPERATORS.get(str(condition["operator"]).lower())
    if operator is None:
        raise PolicyError(f"the operator {condition['operator']!r} is not known here")
    return operator(resolved(condition["key"], context), resolved(condition.get("value"), context))


def _equals(key: Any, value: Any) -> bool:
    if isinstance(key, dict | list) or isinstance(value, dict | list) or key is None or value is None:
        return bool(key == value)
    if isinstance(key, bool) or isinstance(value, bool):
        return as_text(key) == as_text(value)
    wanted = as_text(value)
    return wanted is not None and compare(key, wanted, "")


def _among(key: Any, values: Any) -> bool:
    """Whether one value is among some: listed, in a range, or like a pattern; either may hold wildcards."""
    text = as_text(key)
    if text is None:
        return isinstance(values, list) and key in values
    if not isinstance(values, list):
        wanted = as_text(values) or ""
        found = RANGE.fullmatch(wanted)
        if found and not found.group(2):
            return compare(key, found.group(1), ">=") and compare(key, found.group(3), "<=")
        values = [values]
    known = [other for item in values if (other := as_text(item)) is not None]
    return any(wildcard(other, text) or wildcard(text, other) for other in known)


def _items(key: Any) -> list[Any]:
    return key if isinstance(key, list) else [key]


def _ordered(operator: str) -> Operator:
    return lambda key, value: compare(key, as_text(value) or "", operator)


def _timed(operator: str) -> Operator:
    """Durations, in Go's words or as numbers of seconds."""

    def holds(key: Any, value: Any) -> bool:
        left, right = (_duration(one) for one in (key, value))
        return left is not None and right is not None and compare(left, right, operator)

    return holds


def _duration(value: Any) -> str | None:
    text = as_text(value)
    if text is None or (isinstance(value, str) and duration(text) is None):
        return None
    return text if isinstance(value, str) else f"{text}s"


def _scalar(operator: Operator) -> Operator:
    """The old `In` and `NotIn`, whose meaning for lists changed between versions of Kyverno."""

    def holds(key: Any, value: Any) -> bool:
        if isinstance(key, list):
            raise PolicyError("the operators In and NotIn with a list are not known here: write AnyIn, AllIn or such")
        return operator(key, value)

    return holds


OPERATORS: dict[str, Operator] = {
    **dict.fromkeys(("equal", "equals"), _equals),
    **dict.fromkeys(("notequal", "notequals"), lambda key, value: not _equals(key, value)),
    "in": _scalar(_among),
    "notin": _scalar(lambda key, value: not _among(key, value)),
    "anyin": lambda key, value: any(_among(item, value) for item in _items(key)),
    "allin": lambda key, value: all(_among(item, value) for item in _items(key)),
    "anynotin": lambda key, value: any(not _among(item, value) for item in _items(key)),
    "allnotin": lambda key, value: all(not _among(item, value) for item in _items(key)),
    "greaterthan": _ordered(">"),
    "greaterthanorequals": _ordered(">="),
    "lessthan": _ordered("<"),
    "lessthanorequals": _ordered("<="),
    "durationgreaterthan": _timed(">"),
    "durationgreaterthanorequals": _timed(">="),
    "durationlessthan": _timed("<"),
    "durationlessthanorequals": _timed("<="),
}
