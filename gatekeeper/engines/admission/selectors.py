"""What admission policies choose resources by: names with `*`, label selectors, namespaces.

Sources: Kubernetes `metav1.LabelSelector`; Gatekeeper `pkg/mutation/match` and `pkg/util/wildcard`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gatekeeper.errors import PolicyError
from gatekeeper.model import Resource, at

Labels = Mapping[str, str]
# Kubernetes puts a label with its own name on each namespace.
OWN_NAME = "kubernetes.io/metadata.name"


class Unknown(Exception):
    """Whether a resource is chosen hangs on what the repository does not show: the labels of a namespace."""


def glob(pattern: str, text: str) -> bool:
    """Whether a text matches a name with `*` at its beginning, its end or both."""
    if pattern == "*":
        return True
    bare = pattern.strip("*")
    if pattern.startswith("*") and pattern.endswith("*"):
        return bare in text
    if pattern.startswith("*"):
        return text.endswith(bare)
    return text.startswith(bare) if pattern.endswith("*") else text == pattern


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


def texts(value: Any, where: str) -> tuple[str, ...]:
    """A list of texts, none where it is not there.

    Raises:
        PolicyError: it is something else.
    """
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise PolicyError(f"`{where}` must be a list of texts")
    return tuple(value)


class Namespaces:
    """The labels of the namespaces that the repository holds."""

    def __init__(self, resources: Sequence[Resource]) -> None:
        self._values = {one.ref.name: one.value for one in resources if one.ref.kind == "Namespace"}

    def labels(self, name: str) -> Labels:
        """The labels of a namespace.

        Raises:
            Unknown: the repository does not hold it.
        """
        return {**labels_of(self.object(name)), OWN_NAME: name}

    def object(self, name: str) -> Any:
        """A namespace as it stands in the repository.

        Raises:
            Unknown: the repository does not hold it.
        """
        if name not in self._values:
            raise Unknown(f"it selects by the labels of namespace `{name}`, which is not in the repository")
        return self._values[name]

    def of(self, resource: Resource) -> str:
        """The namespace that a resource is chosen by: its own, or its name where it is one; empty where it has none."""
        return resource.ref.name if resource.ref.kind == "Namespace" else resource.ref.namespace

    def selected(self, selector: Any, resource: Resource, where: str) -> bool:
        """Whether the namespace of a resource has the labels; a resource without namespace is always chosen.

        Raises:
            Unknown: the repository does not hold the namespace.
        """
        name = self.of(resource)
        if not name:
            return True
        if selects(selector, {OWN_NAME: name}, where) and not _negative(selector):
            return True
        return selects(selector, self.labels(name), where)


def _negative(selector: Any) -> bool:
    """Whether more labels than its own name could make a selector refuse a namespace."""
    return any(
        expression.get("operator") in ("NotIn", "DoesNotExist") for expression in selector.get("matchExpressions") or []
    )
