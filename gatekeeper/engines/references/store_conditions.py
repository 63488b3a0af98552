"""ExternalSecrets in namespaces that their ClusterSecretStore does not allow by its `spec.conditions`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from gatekeeper.externalsecrets.store_conditions import AccessDecision, StoreAccess, evaluate_conditions
from gatekeeper.model import FieldPath, Finding, Labels, Resource, get_field, read_labels

# The kinds that the check looks at.
KINDS = ("ClusterSecretStore", "Namespace", "ExternalSecret")
STORE_NAME_PATH: FieldPath = ("spec", "secretStoreRef", "name")


def check_store_conditions(resources: Sequence[Resource]) -> Iterator[Finding]:
    """Yields a finding for each ExternalSecret whose cluster store is not for its namespace."""
    stores: dict[str, list[Any]] = {}
    for resource in resources:
        if resource.ref.kind == "ClusterSecretStore":
            stores.setdefault(resource.ref.name, []).append(resource.value)
    if not any(get_field(store, ("spec", "conditions")) for same_name in stores.values() for store in same_name):
        return
    labels_by_namespace: dict[str, list[Labels | None]] = {}
    for resource in resources:
        if resource.ref.kind == "Namespace":
            labels_by_namespace.setdefault(resource.ref.name, []).append(read_labels(resource.value))
    for resource in resources:
        store_ref = get_field(resource.value, STORE_NAME_PATH[:-1]) if resource.ref.kind == "ExternalSecret" else None
        if get_field(store_ref, ("kind",)) != "ClusterSecretStore" or not resource.ref.namespace:
            continue
        name, namespace = str(get_field(store_ref, ("name",))), resource.ref.namespace
        decision = _decide(stores.get(name, []), namespace, labels_by_namespace.get(namespace, [None]))
        if decision is not None and decision.access in (StoreAccess.DENIED, StoreAccess.INVALID):
            message = f"ClusterSecretStore {name} does not serve namespace {namespace}: {decision.reason}"
            hint = "add the namespace to a condition of the store, or use another store"
            yield resource.build_finding("references/store", message, STORE_NAME_PATH, hint=hint)


def _decide(stores: Sequence[Any], namespace: str, label_sets: Sequence[Labels | None]) -> AccessDecision | None:
    """The best decision: overlays may render a store and a namespace several times, each for its own cluster."""
    decisions = [evaluate_conditions(store, namespace, labels) for store, labels in product(stores, label_sets)]
    return min(decisions, key=lambda decision: list(StoreAccess).index(decision.access), default=None)
