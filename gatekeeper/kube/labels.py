"""Labels, and the selectors that choose by them. Source: Kubernetes `metav1.LabelSelector`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gatekeeper.errors import PolicyError
from gatekeeper.model import at

Labels = Mapping[str, str]
# Kubernetes puts a label with its own name on each namespace.
OWN_NAME = "kubernetes.io/metadata.name"


def labels_of(value: Any, field: str = "labels") -> Labels:
    """An object's labels, or annotations; none where they are malformed."""
    held = at(value, ("metadata", field))
    return {str(key): str(text) for key, text in held.items()} if isinstance(held, dict) else {}


def selects(selector: Any, labels: Labels, where: str) -> bool:
    """Whether a label selector chooses what has these labels; an empty one chooses everything.

    Raises:
        PolicyError: the selector is malformed; `where` names it.
    """
    if not isinstance(selector, dict):
        raise PolicyError(f"`{where}` must be a mapping with matchLabels, matchExpressions")
    for key in selector.keys() - {"matchLabels", "matchExpressions"}:
        raise PolicyError(f"`{where}` knows no `{key}`; there are matchLabels, matchExpressions")
    wanted = selector.get("matchLabels") or {}
    if not isinstance(wanted, dict):
        raise PolicyError(f"`{where}.matchLabels` must be a mapping")
    expressions = selector.get("matchExpressions") or []
    # All are looked at, so that a malformed one is told whatever the labels are.
    met = [_meets(expression, labels, where) for expression in _mappings(expressions, f"{where}.matchExpressions")]
    return all(labels.get(key) == str(value) for key, value in wanted.items()) and all(met)


def _meets(expression: Mapping[str, Any], labels: Labels, where: str) -> bool:
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
    raise PolicyError(f"`{where}` has the operator {operator!r}; there are In, NotIn, Exists, DoesNotExist")


def _mappings(value: Any, where: str) -> Sequence[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise PolicyError(f"`{where}` must be a list of mappings")
    return value


def is_negative(selector: Any) -> bool:
    """Whether more labels could make a selector refuse what it chooses."""
    return any(
        expression.get("operator") in ("NotIn", "DoesNotExist") for expression in selector.get("matchExpressions") or []
    )
