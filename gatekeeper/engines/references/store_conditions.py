"""Stores of external-secrets that do not serve the namespace of who asks.

Source: external-secrets `ClusterSecretStore.spec.conditions` (any of them must hold; each by names, regular expressions
or labels of the namespace).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from gatekeeper.model import FieldPath, Finding, Resource, get_field

STORE_NAME_PATH: FieldPath = ("spec", "secretStoreRef", "name")


def check_store_conditions(resources: Sequence[Resource]) -> Iterator[Finding]:
    """ExternalSecrets whose cluster store leaves their namespace out."""
    stores = {
        one.ref.name: conditions
        for one in resources
        if one.ref.kind == "ClusterSecretStore" and (conditions := get_field(one.value, ("spec", "conditions")))
    }
    if not stores:
        return
    namespaces = {
        one.ref.name: get_field(one.value, ("metadata", "labels")) for one in resources if one.ref.kind == "Namespace"
    }
    for resource in resources:
        if resource.ref.kind != "ExternalSecret" or not resource.ref.namespace:
            continue
        held = get_field(resource.value, STORE_NAME_PATH[:-1])
        name = get_field(held, ("name",))
        if get_field(held, ("kind",)) == "ClusterSecretStore" and name in stores:
            served = [_is_served(one, resource.ref.namespace, namespaces) for one in stores[name]]
            # None: that hangs on labels of a namespace that is not in the repository.
            if True not in served and None not in served:
                message = f"ClusterSecretStore {name} does not serve namespace {resource.ref.namespace}"
                hint = "add the namespace to a condition of the store, or use another store"
                place = resource.origin.find_location(STORE_NAME_PATH)
                yield Finding("references/store", "error", message, place, resource.ref, STORE_NAME_PATH, hint, "field")


def _is_served(condition: Any, namespace: str, namespace_labels: dict[str, Any]) -> bool | None:
    names, patterns = get_field(condition, ("namespaces",)), get_field(condition, ("namespaceRegexes",))
    if isinstance(names, list) and namespace in names:
        return True
    for pattern in patterns if isinstance(patterns, list) else ():
        try:
            if re.search(str(pattern), namespace):
                return True
        except re.error:
            return None
    selector = get_field(condition, ("namespaceSelector",))
    if not isinstance(selector, dict):
        return False
    wanted = {"kubernetes.io/metadata.name": None, **(selector.get("matchLabels") or {})}
    own_name = wanted.pop("kubernetes.io/metadata.name")
    if own_name is not None and own_name != namespace:
        return False
    if selector.get("matchExpressions") or (wanted and namespace not in namespace_labels):
        return None
    labels = namespace_labels.get(namespace)
    return all(get_field(labels, (key,)) == value for key, value in wanted.items())
