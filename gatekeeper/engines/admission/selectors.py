"""Selection of resources by admission policies: names with `*`, and labels of namespaces.

Source: OPA Gatekeeper `pkg/mutation/match` and `pkg/util/wildcard`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatekeeper.kube.labels import (
    NAMESPACE_NAME_LABEL,
    has_negative_expression,
    is_selected,
    list_label_keys,
)
from gatekeeper.model import Labels, Resource, read_labels


class UnknownNamespaceError(Exception):
    """Whether a policy selects a resource depends on a namespace that the repository does not contain."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it selects by the labels of namespace `{name}`, which the repository does not contain")


def is_glob_match(pattern: str, text: str) -> bool:
    """Whether a text matches a name with `*` at its start, its end or both."""
    if pattern == "*":
        return True
    bare = pattern.strip("*")
    if pattern.startswith("*") and pattern.endswith("*"):
        return bare in text
    if pattern.startswith("*"):
        return text.endswith(bare)
    return text.startswith(bare) if pattern.endswith("*") else text == pattern


class NamespaceIndex:
    """The namespaces that the repository contains, with their labels."""

    def __init__(self, resources: Sequence[Resource]) -> None:
        self._namespaces = {
            resource.ref.name: resource.value for resource in resources if resource.ref.kind == "Namespace"
        }

    def find_labels(self, name: str) -> Labels:
        """Returns the labels of a namespace.

        Raises:
            UnknownNamespaceError: the repository does not contain it.
        """
        return {**read_labels(self.find_object(name)), NAMESPACE_NAME_LABEL: name}

    def has_object(self, name: str) -> bool:
        """Whether the repository contains a namespace."""
        return name in self._namespaces

    def find_object(self, name: str) -> Any:
        """Returns a namespace as a mapping.

        Raises:
            UnknownNamespaceError: the repository does not contain it.
        """
        if name not in self._namespaces:
            raise UnknownNamespaceError(name)
        return self._namespaces[name]

    def resolve_namespace(self, resource: Resource) -> str:
        """Returns the namespace that selects a resource: its own, or the name of a Namespace; empty without any."""
        return resource.ref.name if resource.ref.kind == "Namespace" else resource.ref.namespace

    def is_selected(self, selector: Any, resource: Resource, field: str) -> bool:
        """Whether the namespace of a resource has the labels; a resource without namespace is always selected.

        Args:
            field: the name of the selector in messages.

        Raises:
            PolicyError: the selector is malformed.
            UnknownNamespaceError: the repository does not contain the namespace.
        """
        name = self.resolve_namespace(resource)
        if not name:
            return True
        # The name label is known without the namespace, and may be enough.
        is_selected_by_name = is_selected(selector, {NAMESPACE_NAME_LABEL: name}, field)
        if list_label_keys(selector) <= {NAMESPACE_NAME_LABEL}:
            return is_selected_by_name
        if is_selected_by_name and not has_negative_expression(selector):
            return True
        return is_selected(selector, self.find_labels(name), field)
