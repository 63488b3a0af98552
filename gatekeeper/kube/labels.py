"""Labels and label selectors.

Source: Kubernetes `metav1.LabelSelector`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gatekeeper.errors import PolicyError
from gatekeeper.model import Labels

# Kubernetes sets this label on each namespace, to its name.
NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"


def is_selected(selector: Any, labels: Labels, field_name: str) -> bool:
    """Whether a label selector selects an object with these labels; an empty selector selects every object.

    Raises:
        PolicyError: the selector is malformed.
    """
    if not isinstance(selector, dict):
        raise PolicyError(f"`{field_name}` must be a mapping with matchLabels, matchExpressions")
    for key in selector.keys() - {"matchLabels", "matchExpressions"}:
        raise PolicyError(f"`{field_name}` has the unknown field `{key}`; use matchLabels, matchExpressions")
    match_labels = selector.get("matchLabels") or {}
    if not isinstance(match_labels, dict):
        raise PolicyError(f"`{field_name}.matchLabels` must be a mapping")
    expressions = selector.get("matchExpressions") or []
    # All are evaluated, so that a malformed one is always an error.
    results = [
        _is_expression_met(expression, labels, field_name)
        for expression in _require_mappings(expressions, f"{field_name}.matchExpressions")
    ]
    return all(labels.get(key) == str(value) for key, value in match_labels.items()) and all(results)


def _is_expression_met(expression: Mapping[str, Any], labels: Labels, field_name: str) -> bool:
    key, operator, values = str(expression.get("key")), expression.get("operator"), expression.get("values") or []
    value = labels.get(key)
    if operator == "In":
        return value is not None and value in values
    if operator == "NotIn":
        return value is None or value not in values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    raise PolicyError(f"`{field_name}` has the unknown operator {operator!r}; use In, NotIn, Exists, DoesNotExist")


def _require_mappings(value: Any, field_name: str) -> Sequence[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise PolicyError(f"`{field_name}` must be a list of mappings")
    return value


def has_negative_expression(selector: Any) -> bool:
    """Whether an object could leave the selection by additional labels."""
    return any(
        expression.get("operator") in ("NotIn", "DoesNotExist") for expression in selector.get("matchExpressions") or []
    )


def list_label_keys(selector: Any) -> set[str]:
    """The keys of all labels that a well-formed selector reads."""
    expressions = selector.get("matchExpressions") or []
    return {*(selector.get("matchLabels") or {}), *(str(expression.get("key")) for expression in expressions)}
