"""What is asked for in all: ExternalSecrets of whatever kind, and the stores that they name, out of single objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from gatekeeper.externalsecrets import access_rules, cluster_external_secret, external_secret_spec, store_conditions
from gatekeeper.externalsecrets.access_rules import AccessRules
from gatekeeper.externalsecrets.fetch_plan import StoreKey, resolve_store_key
from gatekeeper.externalsecrets.model import ExternalSecretSpec, StoreRef
from gatekeeper.kube.decoder import FieldError
from gatekeeper.kube.labels import Labels, read_labels
from gatekeeper.model import FieldPath, get_field

# What asks for something, too, and would be missed in silence.
UNSUPPORTED_KINDS = ("PushSecret", "ClusterPushSecret")


class InputObject(NamedTuple):
    """An object, its namespace, and where each field of it stands, for people."""

    value: Any
    namespace: str
    locate: Callable[[FieldPath], str]

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(get_field(self.value, ("kind",)))

    @property
    def name(self) -> str:
        """Its name."""
        return str(get_field(self.value, ("metadata", "name")))

    def __str__(self) -> str:
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"


def _place_within(parent: InputObject, path: FieldPath) -> str:
    """Where a field of an ExternalSecret stands in the ClusterExternalSecret that it comes from."""
    return parent.locate((*cluster_external_secret.SPEC_PATH, *path[1:]))


class RefusedObject(NamedTuple):
    """An object that is not followed: the namespace and name of its ExternalSecret, why, and where that stands."""

    namespace: str
    name: str
    reason: str
    location: str

    def __str__(self) -> str:
        return f"{self.location}{': ' if self.location else ''}{self.reason}"


class DesiredSecrets(NamedTuple):
    """ExternalSecrets, the stores that there are, and what is not followed."""

    specs: list[ExternalSecretSpec]
    stores: Mapping[StoreKey, Any]
    refusals: list[RefusedObject]


class KnownNamespaces(NamedTuple):
    """The namespaces that are known, with their labels; and whether there are no others."""

    labels: Mapping[str, Labels]
    is_complete: bool


def collect_desired_secrets(
    objects: Iterable[InputObject], namespaces: KnownNamespaces, rules: AccessRules
) -> DesiredSecrets:
    """What objects ask for.

    Args:
        objects: of the group of external-secrets; others are passed over.
        namespaces: more namespaces than those among the objects.
    """
    given = list(objects)
    known = {one.name: read_labels(one.value) for one in given if one.kind == "Namespace"}
    namespaces = namespaces._replace(labels={**known, **namespaces.labels})
    stores = {_build_store_key(one): one.value for one in given if one.kind in external_secret_spec.STORE_KINDS}
    found = DesiredSecrets([], stores, [])
    for one in _expand_all(given, namespaces, found.refusals):
        try:
            wanted = external_secret_spec.parse_external_secret(one.value, one.namespace)
        except FieldError as error:
            found.refusals.append(RefusedObject(one.namespace, one.name, f"{one}: {error}", one.locate(error.path)))
            continue
        wanted = _resolve_sharing(wanted, stores)
        faults = [
            *((one.locate(path), f"{one}: {reason}") for path, reason in access_rules.find_refusals(wanted, rules)),
            *(("", f"{one}: {reason}") for reason in _find_condition_refusals(wanted, stores, namespaces)),
        ]
        found.refusals.extend(RefusedObject(one.namespace, one.name, reason, place) for place, reason in faults)
        if not faults:
            found.specs.append(wanted)
    return found


def _build_store_key(store: InputObject) -> StoreKey:
    return StoreKey(store.kind, store.namespace if store.kind == "SecretStore" else "", store.name)


def _expand_all(
    objects: list[InputObject], namespaces: KnownNamespaces, refusals: list[RefusedObject]
) -> Iterator[InputObject]:
    """All ExternalSecrets, those among them that a ClusterExternalSecret puts into namespaces."""
    there = {}
    for one in objects:
        if one.kind == "ExternalSecret":
            there[one.namespace, one.name] = one.value
            yield one
        elif one.kind in UNSUPPORTED_KINDS:
            refusals.append(RefusedObject("", "", f"{one}: this kind is not supported yet", one.locate(("kind",))))
    for one in objects:
        if one.kind != cluster_external_secret.KIND:
            continue
        try:
            made = list(cluster_external_secret.expand(one.value, namespaces.labels, namespaces.is_complete))
        except FieldError as error:
            refusals.append(RefusedObject("", "", f"{one}: {error}", one.locate(error.path)))
            continue
        for value in made:
            namespace, name = value["metadata"]["namespace"], value["metadata"]["name"]
            if (namespace, name) not in there:
                there[namespace, name] = value
                yield InputObject(value, namespace, partial(_place_within, one))
            elif not _is_created_by(there[namespace, name], one.name):
                reason = f"{one}: ExternalSecret {namespace}/{name} is there already, and is not of its making"
                refusals.append(RefusedObject("", "", reason, one.locate(("metadata", "name"))))


def _is_created_by(value: Any, name: str) -> bool:
    owners = get_field(value, ("metadata", "ownerReferences")) or ()
    return any(owner.get("kind") == cluster_external_secret.KIND and owner.get("name") == name for owner in owners)


def _resolve_sharing(spec: ExternalSecretSpec, stores: Mapping[StoreKey, Any]) -> ExternalSecretSpec:
    """With cluster stores told apart that sign in with what the namespace of who asks has."""

    def told(ref: StoreRef) -> StoreRef:
        return ref._replace(is_shared=not _is_referent(stores.get(resolve_store_key(ref, spec.namespace))))

    return spec._replace(
        data=tuple(item._replace(store=told(item.store)) for item in spec.data),
        data_from=tuple(many._replace(store=told(many.store)) for many in spec.data_from),
    )


def _is_referent(store: Any) -> bool:
    """Whether a ClusterSecretStore names a Secret or ServiceAccount to sign in with, and not where that is.

    Source: external-secrets, `isReferentSpec` of each provider.
    """
    if get_field(store, ("kind",)) != "ClusterSecretStore":
        return False
    provider = get_field(store, ("spec", "provider"))
    held = [get_field(one, (field,)) for one in (provider or {}).values() for field in ("auth", "authRef")]
    return any(map(_has_ref_without_namespace, held))


def _has_ref_without_namespace(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    if isinstance(value.get("name"), str):
        return not value.get("namespace")
    return any(map(_has_ref_without_namespace, value.values()))


def _find_condition_refusals(
    spec: ExternalSecretSpec, stores: Mapping[StoreKey, Any], namespaces: KnownNamespaces
) -> Iterator[str]:
    """Why stores are not for an ExternalSecret, by their own conditions."""
    refs = [*(item.store for item in spec.data), *(many.store for many in spec.data_from)]
    for key in sorted({resolve_store_key(store, spec.namespace).object_key for store in refs}):
        labels = namespaces.labels.get(spec.namespace)
        decision = store_conditions.evaluate_conditions(stores.get(key), spec.namespace, labels)
        if decision.reason:
            yield f"{key}: {decision.reason}"
