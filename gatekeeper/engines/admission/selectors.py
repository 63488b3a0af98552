"""What admission policies choose resources by: names with `*`, and namespaces.

Source: Gatekeeper `pkg/mutation/match` and `pkg/util/wildcard`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatekeeper.errors import PolicyError
from gatekeeper.kube.labels import OWN_NAME, Labels, is_negative, labels_of, selects
from gatekeeper.model import Resource


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
        if selects(selector, {OWN_NAME: name}, where) and not is_negative(selector):
            return True
        return selects(selector, self.labels(name), where)
