"""The Namespace that the sync option `CreateNamespace` creates, with its managed metadata."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gatekeeper.model import Object, get_field

CREATE_NAMESPACE = "CreateNamespace=true"


def build_namespaces(value: Object, objects: Iterable[Object]) -> list[Object]:
    """Build the Namespace of an Application's destination.

    Returns:
        One Namespace, or none if the option is off or the Application applies that Namespace itself.
    """
    name: Any = get_field(value, ("spec", "destination", "namespace"))
    policy = get_field(value, ("spec", "syncPolicy")) or {}
    is_applied = any(applied["kind"] == "Namespace" and applied["metadata"].get("name") == name for applied in objects)
    if not name or is_applied or CREATE_NAMESPACE not in (policy.get("syncOptions") or ()):
        return []
    managed = policy.get("managedNamespaceMetadata") or {}
    metadata = {"name": name, **{key: managed[key] for key in ("labels", "annotations") if managed.get(key)}}
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}]
