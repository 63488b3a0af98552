"""Kubernetes objects as plain JSON, and how they are named.

Source: Kubernetes documentation, "Object Names and IDs".
"""

from __future__ import annotations

from typing import Any, NamedTuple

Object = dict[str, Any]


class NamespacedName(NamedTuple):
    """Namespace and name of an object; the namespace is empty for cluster-scoped objects."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def name_of(value: Object, default_namespace: str = "") -> NamespacedName:
    """Namespace and name of an object; an object without a namespace has the default one."""
    metadata = value["metadata"]
    return NamespacedName(metadata.get("namespace") or default_namespace, metadata["name"])
