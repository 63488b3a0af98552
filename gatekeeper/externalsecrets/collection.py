"""Collecting the ExternalSecrets to sync, and the stores they use, from the objects of a cluster or repository."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from gatekeeper.externalsecrets import access_rules, cluster_external_secret, store_conditions
from gatekeeper.externalsecrets.access_rules import AccessRules
from gatekeeper.externalsecrets.external_secret_spec import STORE_KINDS, SpecCache
from gatekeeper.externalsecrets.fetch_plan import StoreKey, list_store_keys, resolve_store_key
from gatekeeper.externalsecrets.model import ExternalSecretSpec, StoreRef
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import FieldPath, Labels, get_field, read_labels
from gatekeeper.named_tuple import NamedTuple

# These kinds use secrets too: ignoring them silently would look as if they were handled.
UNSUPPORTED_KINDS = ("PushSecret", "ClusterPushSecret")


class InputObject(NamedTuple):
    """An object, its namespace, and a function that returns the location of a field of it, for messages."""

    value: Any
    namespace: str
    locate: Callable[[FieldPath], str] = lambda path: ""

    @property
    def kind(self) -> str:
        """The kind of the object."""
        return str(get_field(self.value, ("kind",)))

    @property
    def name(self) -> str:
        """The name of the object."""
        return str(get_field(self.value, ("metadata", "name")))

    def __str__(self) -> str:
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"


def _locate_in_parent(parent: InputObject, path: FieldPath) -> str:
    """Return the location of a field of an ExternalSecret in the ClusterExternalSecret that creates it."""
    return parent.locate((*cluster_external_secret.SPEC_PATH, *path[1:]))


class RefusedObject(NamedTuple):
    """An object that is not synced: namespace and name of its ExternalSecret, the reason, and the location."""

    namespace: str
    name: str
    reason: str
    location: str

    def __str__(self) -> str:
        return f"{self.location}{': ' if self.location else ''}{self.reason}"


class DesiredSecrets(NamedTuple):
    """The ExternalSecrets to sync, the existing stores, and the objects that are refused."""

    specs: list[ExternalSecretSpec]
    stores: Mapping[StoreKey, Any]
    refusals: list[RefusedObject]


class KnownNamespaces(NamedTuple):
    """The labels of the known namespaces, by name, and whether there are no others."""

    labels: Mapping[str, Labels]
    is_complete: bool


def collect_desired_secrets(
    objects: Iterable[InputObject],
    namespaces: KnownNamespaces,
    rules: AccessRules,
    spec_cache: SpecCache | None = None,
) -> DesiredSecrets:
    """Collect the requests of the objects.

    Args:
        objects: the objects of external-secrets, and Namespaces; other kinds are ignored.
        namespaces: further namespaces, besides those among the objects.
        spec_cache: keeps parsed specs from one call to the next.
    """
    listed = list(objects)
    own_namespaces = {entry.name: read_labels(entry.value) for entry in listed if entry.kind == "Namespace"}
    namespaces = namespaces._replace(labels={**own_namespaces, **namespaces.labels})
    stores = {_build_store_key(entry): entry.value for entry in listed if entry.kind in STORE_KINDS}
    expanded = list(_expand_all(listed, namespaces))
    refusals = [entry for entry in expanded if isinstance(entry, RefusedObject)]
    external_secrets = [entry for entry in expanded if isinstance(entry, InputObject)]
    specs: list[ExternalSecretSpec] = []
    results = (spec_cache or SpecCache()).parse_all((entry.value, entry.namespace) for entry in external_secrets)
    for entry, result in zip(external_secrets, results, strict=True):
        if isinstance(result, FieldError):
            refusals.append(_refuse(entry, str(result), entry.locate(result.path)))
            continue
        spec = _resolve_sharing(result, stores)
        reasons = [
            *((reason, entry.locate(path)) for path, reason in access_rules.find_refusals(spec, rules)),
            *((reason, "") for reason in _find_condition_refusals(spec, stores, namespaces)),
        ]
        refusals.extend(_refuse(entry, reason, location) for reason, location in reasons)
        if not reasons:
            specs.append(spec)
    return DesiredSecrets(specs, stores, refusals)


def _refuse(entry: InputObject, reason: str, location: str) -> RefusedObject:
    return RefusedObject(entry.namespace, entry.name, f"{entry}: {reason}", location)


def _build_store_key(store: InputObject) -> StoreKey:
    return StoreKey(store.kind, store.namespace if store.kind == "SecretStore" else "", store.name)


def _expand_all(objects: list[InputObject], namespaces: KnownNamespaces) -> Iterator[InputObject | RefusedObject]:
    """Yield all ExternalSecrets, also those that ClusterExternalSecrets create, and the objects that are refused."""
    existing = {}
    for entry in objects:
        if entry.kind == "ExternalSecret":
            existing[entry.namespace, entry.name] = entry.value
            yield entry
        elif entry.kind in UNSUPPORTED_KINDS:
            yield RefusedObject("", "", f"{entry}: this kind is not supported", entry.locate(("kind",)))
    for entry in objects:
        if entry.kind != cluster_external_secret.KIND:
            continue
        try:
            values = list(cluster_external_secret.expand(entry.value, namespaces.labels, namespaces.is_complete))
        except FieldError as error:
            yield RefusedObject("", "", f"{entry}: {error}", entry.locate(error.path))
            continue
        for value in values:
            namespace, name = value["metadata"]["namespace"], value["metadata"]["name"]
            if (namespace, name) not in existing:
                existing[namespace, name] = value
                yield InputObject(value, namespace, partial(_locate_in_parent, entry))
            elif not _is_created_by(existing[namespace, name], entry.name):
                reason = f"{entry}: ExternalSecret {namespace}/{name} already exists and was not created by it"
                yield RefusedObject("", "", reason, entry.locate(("metadata", "name")))


def _is_created_by(value: Any, name: str) -> bool:
    owners = get_field(value, ("metadata", "ownerReferences")) or ()
    return any(owner.get("kind") == cluster_external_secret.KIND and owner.get("name") == name for owner in owners)


def _resolve_sharing(spec: ExternalSecretSpec, stores: Mapping[StoreKey, Any]) -> ExternalSecretSpec:
    """Set `is_shared` of each store reference, by the ClusterSecretStore that it names."""
    resolved = {store: _resolve_store(store, spec.namespace, stores) for store in spec.stores}
    return spec._replace(
        data=tuple(entry._replace(store=resolved[entry.store]) for entry in spec.data),
        data_from=tuple(entry._replace(store=resolved[entry.store]) for entry in spec.data_from),
    )


def _resolve_store(store: StoreRef, namespace: str, stores: Mapping[StoreKey, Any]) -> StoreRef:
    return store._replace(is_shared=not _is_referent(stores.get(resolve_store_key(store, namespace))))


def _is_referent(store: Any) -> bool:
    """Return whether a ClusterSecretStore names credentials without a namespace, so that each namespace has its own.

    Source: external-secrets, `isReferentSpec` of each provider.
    """
    if get_field(store, ("kind",)) != "ClusterSecretStore":
        return False
    providers = get_field(store, ("spec", "provider")) or {}
    auths = [get_field(provider, (field,)) for provider in providers.values() for field in ("auth", "authRef")]
    return any(map(_has_ref_without_namespace, auths))


def _has_ref_without_namespace(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    if isinstance(value.get("name"), str):
        return not value.get("namespace")
    return any(map(_has_ref_without_namespace, value.values()))


def _find_condition_refusals(
    spec: ExternalSecretSpec, stores: Mapping[StoreKey, Any], namespaces: KnownNamespaces
) -> Iterator[str]:
    """Yield why the namespace of an ExternalSecret may not use a store, by the conditions of the store."""
    labels = namespaces.labels.get(spec.namespace)
    for key in sorted({key.object_key for key in list_store_keys(spec)}):
        access = store_conditions.evaluate_conditions(stores.get(key), spec.namespace, labels)
        if access.reason:
            yield f"{key}: {access.reason}"
