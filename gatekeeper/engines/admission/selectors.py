"""What admission policies choose resources by: names with `*`, and namespaces.

Source: Gatekeeper `pkg/mutation/match` and `pkg/util/wildcard`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatekeeper.errors import PolicyError
from gatekeeper.kube.labels import NAMESPACE_NAME_LABEL, Labels, has_negative_expression, is_selected, read_labels
from gatekeeper.model import Resource


class UnknownNamespaceError(Exception):
    """Whether a resource is chosen hangs on what the repository does not show: the labels of a namespace."""


def is_glob_match(pattern: str, text: str) -> bool:
    """Whether a text matches a name with `*` at its beginning, its end or both."""
    if pattern == "*":
        return True
    bare = pattern.strip("*")
    if pattern.startswith("*") and pattern.endswith("*"):
        return bare in text
    if pattern.startswith("*"):
        return text.endswith(bare)
    return text.startswith(bare) if pattern.endswith("*") else text == pattern


def parse_text_list(value: Any, field: str) -> tuple[str, ...]:
    """A list of texts, none where it is not there.

    Raises:
        PolicyError: it is something else.
    """
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise PolicyError(f"`{field}` must be a list of texts")
    return tuple(value)


class NamespaceIndex:
    """The labels of the namespaces that the repository holds."""

    def __init__(self, resources: Sequence[Resource]) -> None:
        self._namespaces = {one.ref.name: one.value for one in resources if one.ref.kind == "Namespace"}

    def find_labels(self, name: str) -> Labels:
        """The labels of a namespace.

        Raises:
            Unknown: the repository does not hold it.
        """
        return {**read_labels(self.find_object(name)), NAMESPACE_NAME_LABEL: name}

    def find_object(self, name: str) -> Any:
        """A namespace as it stands in the repository.

        Raises:
            Unknown: the repository does not hold it.
        """
        if name not in self._namespaces:
            raise UnknownNamespaceError(
                f"it selects by the labels of namespace `{name}`, which is not in the repository"
            )
        return self._namespaces[name]

    def resolve_namespace(self, resource: Resource) -> str:
        """The namespace that a resource is chosen by: its own, or its name where it is one; empty where it has none."""
        return resource.ref.name if resource.ref.kind == "Namespace" else resource.ref.namespace

    def is_selected(self, selector: Any, resource: Resource, field: str) -> bool:
        """Whether the namespace of a resource has the labels; a resource without namespace is always chosen.

        Raises:
            Unknown: the repository does not hold the namespace.
        """
        name = self.resolve_namespace(resource)
        if not name:
            return True
        if is_selected(selector, {NAMESPACE_NAME_LABEL: name}, field) and not has_negative_expression(selector):
            return True
        return is_selected(selector, self.find_labels(name), field)
