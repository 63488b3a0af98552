"""Labels, and the selectors that choose by them. Source: Kubernetes `metav1.LabelSelector`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gatekeeper.errors import PolicyError
from gatekeeper.model import get_field

Labels = Mapping[str, str]
# Kubernetes puts a label with its own name on each namespace.
NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"


def read_labels(value: Any, field: str = "labels") -> Labels:
    """An object's labels, or annotations; none where they are malformed."""
    held = get_field(value, ("metadata", field))
    return {str(key): str(text) for key, text in held.items()} if isinstance(held, dict) else {}


def is_selected(selector: Any, labels: Labels, field_name: str) -> bool:
    """Whether a label selector chooses what has these labels; an empty one chooses everything.

    Raises:
        PolicyError: the selector is malformed; `field_name` names it.
    """
    if not isinstance(selector, dict):
        raise PolicyError(f"`{field_name}` must be a mapping with matchLabels, matchExpressions")
    for key in selector.keys() - {"matchLabels", "matchExpressions"}:
        raise PolicyError(f"`{field_name}` knows no `{key}`; there are matchLabels, matchExpressions")
    wanted = selector.get("matchLabels") or {}
    if not isinstance(wanted, dict):
        raise PolicyError(f"`{field_name}.matchLabels` must be a mapping")
    expressions = selector.get("matchExpressions") or []
    # All are looked at, so that a malformed one is told whatever the labels are.
    met = [
        _is_expression_met(expression, labels, field_name)
        for expression in _require_mappings(expressions, f"{field_name}.matchExpressions")
    ]
    return all(labels.get(key) == str(value) for key, value in wanted.items()) and all(met)


def _is_expression_met(expression: Mapping[str, Any], labels: Labels, field_name: str) -> bool:
    key, operator, values = str(expression.get("key")), expression.get("operator"), expression.get("values") or []
    held = labels.get(key)
    if operator == "In":
        return held is not None and held in values
    if operator == "NotIn":
        return held is None or held not in values
    if operator == "Exists":
        return held is not None
    if operator == "DoesNotExist":
        return held is None
    raise PolicyError(f"`{field_name}` has the operator {operator!r}; there are In, NotIn, Exists, DoesNotExist")


def _require_mappings(value: Any, field_name: str) -> Sequence[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise PolicyError(f"`{field_name}` must be a list of mappings")
    return value


def has_negative_expression(selector: Any) -> bool:
    """Whether more labels could make a selector refuse what it chooses."""
    return any(
        expression.get("operator") in ("NotIn", "DoesNotExist") for expression in selector.get("matchExpressions") or []
    )
