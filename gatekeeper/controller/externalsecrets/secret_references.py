"""Which Secrets of a cluster a store uses: as credentials, or as the secrets that it returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gatekeeper.externalsecrets.collection import DesiredSecrets
from gatekeeper.externalsecrets.fetch_plan import StoreKey, resolve_store_key
from gatekeeper.model import NamespacedName, Object, get_field

REFERENCE_SUFFIXES = ("secretref", "secretkeyref", "secretaccesskeysecretref", "caprovider")


def list_credential_secrets(key: StoreKey, store: Object) -> set[NamespacedName]:
    """Return the Secrets with credentials and CA certificates that a store names.

    The namespace is empty for a Secret of the namespace of each ExternalSecret.
    """
    return set(_find_references(get_field(store, ("spec", "provider")), key.namespace))


def is_credential_secret(name: NamespacedName, key: StoreKey, store: Object) -> bool:
    """Return whether a store may use a Secret as a credential."""
    references = list_credential_secrets(key, store)
    return name in references or NamespacedName("", name.name) in references


def map_source_secrets(desired: DesiredSecrets) -> dict[NamespacedName, list[StoreKey]]:
    """Return the Secrets that ExternalSecrets read through Kubernetes stores, with the keys of these stores."""
    stores_by_secret: dict[NamespacedName, list[StoreKey]] = {}
    for spec in desired.specs:
        for entry in spec.data:
            key = resolve_store_key(entry.store, spec.namespace).object_key
            provider = get_field(desired.stores.get(key), ("spec", "provider", "kubernetes"))
            if isinstance(provider, dict):
                name = NamespacedName(str(provider.get("remoteNamespace") or "default"), entry.remote.key)
                stores_by_secret.setdefault(name, []).append(key)
    return stores_by_secret


def _find_references(value: Any, namespace: str) -> Iterator[NamespacedName]:
    if isinstance(value, list):
        for item in value:
            yield from _find_references(item, namespace)
    elif isinstance(value, Mapping):
        for field, item in value.items():
            is_named = isinstance(item, Mapping) and isinstance(item.get("name"), str)
            if is_named and (field.lower().endswith(REFERENCE_SUFFIXES) or "key" in item):
                yield NamespacedName(str(item.get("namespace") or namespace), item["name"])
            yield from _find_references(item, namespace)
