"""The namespace of an Application, where it asks for it to be made: by `CreateNamespace`, with its own metadata."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.model import get_field

CREATE_NAMESPACE = "CreateNamespace=true"


def build_namespaces(value: Object, objects: Iterable[Object]) -> list[Object]:
    """The namespace that is made for an Application; none where it asks for none, or has it among its objects."""
    name: Any = get_field(value, ("spec", "destination", "namespace"))
    policy = get_field(value, ("spec", "syncPolicy")) or {}
    has_it = any(one["kind"] == "Namespace" and one["metadata"].get("name") == name for one in objects)
    if not name or has_it or CREATE_NAMESPACE not in (policy.get("syncOptions") or ()):
        return []
    more = policy.get("managedNamespaceMetadata") or {}
    metadata = {"name": name, **{key: more[key] for key in ("labels", "annotations") if more.get(key)}}
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}]
