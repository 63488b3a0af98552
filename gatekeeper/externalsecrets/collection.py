"""What is asked for in all: ExternalSecrets of whatever kind, and the stores that they name, out of single objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from gatekeeper.externalsecrets import access_rules, cluster_external_secret, external_secret_spec
from gatekeeper.externalsecrets.access_rules import Rules
from gatekeeper.externalsecrets.fetch_plan import StoreKey, key_of
from gatekeeper.externalsecrets.model import StoreRef, Wanted
from gatekeeper.kube.decoder import FieldError
from gatekeeper.kube.labels import Labels, labels_of
from gatekeeper.model import FieldPath, at

# What asks for something, too, and would be missed in silence.
NOT_YET = ("PushSecret", "ClusterPushSecret")


class Given(NamedTuple):
    """An object, its namespace, and where each field of it stands, for people."""

    value: Any
    namespace: str
    place: Callable[[FieldPath], str]

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(at(self.value, ("kind",)))

    @property
    def name(self) -> str:
        """Its name."""
        return str(at(self.value, ("metadata", "name")))

    def __str__(self) -> str:
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"


def _place_within(parent: Given, path: FieldPath) -> str:
    """Where a field of an ExternalSecret stands in the ClusterExternalSecret that it comes from."""
    return parent.place((*cluster_external_secret.WITHIN, *path[1:]))


class Refused(NamedTuple):
    """An object that is not followed: the namespace and name of its ExternalSecret, why, and where that stands."""

    namespace: str
    name: str
    reason: str
    place: str

    def __str__(self) -> str:
        return f"{self.place}{': ' if self.place else ''}{self.reason}"


class Found(NamedTuple):
    """ExternalSecrets, the stores that there are, and what is not followed."""

    wanted: list[Wanted]
    stores: Mapping[StoreKey, Any]
    refused: list[Refused]


class Spaces(NamedTuple):
    """The namespaces that are known, with their labels; and whether there are no others."""

    known: Mapping[str, Labels]
    is_all: bool


def collected(objects: Iterable[Given], spaces: Spaces, rules: Rules) -> Found:
    """What objects ask for.

    Args:
        objects: of the group of external-secrets; others are passed over.
        spaces: more namespaces than those among the objects.
    """
    given = list(objects)
    known = {one.name: labels_of(one.value) for one in given if one.kind == "Namespace"}
    spaces = spaces._replace(known={**known, **spaces.known})
    stores = {_key(one): one.value for one in given if one.kind in external_secret_spec.KINDS}
    found = Found([], stores, [])
    for one in _spread(given, spaces, found.refused):
        try:
            wanted = external_secret_spec.read(one.value, one.namespace)
        except FieldError as error:
            found.refused.append(Refused(one.namespace, one.name, f"{one}: {error}", one.place(error.path)))
            continue
        wanted = _referring(wanted, stores)
        faults = [
            *((one.place(path), f"{one}: {reason}") for path, reason in access_rules.refusals(wanted, rules)),
            *(("", f"{one}: {reason}") for reason in _conditions(wanted, stores, spaces)),
        ]
        found.refused.extend(Refused(one.namespace, one.name, reason, place) for place, reason in faults)
        if not faults:
            found.wanted.append(wanted)
    return found


def _key(one: Given) -> StoreKey:
    return StoreKey(one.kind, one.namespace if one.kind == "SecretStore" else "", one.name)


def _spread(given: list[Given], spaces: Spaces, refused: list[Refused]) -> Iterator[Given]:
    """All ExternalSecrets, those among them that a ClusterExternalSecret puts into namespaces."""
    there = {}
    for one in given:
        if one.kind == "ExternalSecret":
            there[one.namespace, one.name] = one.value
            yield one
        elif one.kind in NOT_YET:
            refused.append(Refused("", "", f"{one}: this kind is not supported yet", one.place(("kind",))))
    for one in given:
        if one.kind != cluster_external_secret.KIND:
            continue
        try:
            made = list(cluster_external_secret.spread(one.value, spaces.known, spaces.is_all))
        except FieldError as error:
            refused.append(Refused("", "", f"{one}: {error}", one.place(error.path)))
            continue
        for value in made:
            namespace, name = value["metadata"]["namespace"], value["metadata"]["name"]
            if (namespace, name) not in there:
                there[namespace, name] = value
                yield Given(value, namespace, partial(_place_within, one))
            elif not _is_made_by(there[namespace, name], one.name):
                reason = f"{one}: ExternalSecret {namespace}/{name} is there already, and is not of its making"
                refused.append(Refused("", "", reason, one.place(("metadata", "name"))))


def _is_made_by(value: Any, name: str) -> bool:
    owners = at(value, ("metadata", "ownerReferences")) or ()
    return any(owner.get("kind") == cluster_external_secret.KIND and owner.get("name") == name for owner in owners)


def _referring(wanted: Wanted, stores: Mapping[StoreKey, Any]) -> Wanted:
    """With cluster stores told apart that sign in with what the namespace of who asks has."""

    def told(ref: StoreRef) -> StoreRef:
        return ref._replace(is_shared=not _is_referent(stores.get(key_of(ref, wanted.namespace))))

    return wanted._replace(
        items=tuple(item._replace(store=told(item.store)) for item in wanted.items),
        many=tuple(many._replace(store=told(many.store)) for many in wanted.many),
    )


def _is_referent(store: Any) -> bool:
    """Whether a ClusterSecretStore names a Secret or ServiceAccount to sign in with, and not where that is.

    Source: external-secrets, `isReferentSpec` of each provider.
    """
    if at(store, ("kind",)) != "ClusterSecretStore":
        return False
    provider = at(store, ("spec", "provider"))
    held = [at(one, (field,)) for one in (provider or {}).values() for field in ("auth", "authRef")]
    return any(map(_names_no_namespace, held))


def _names_no_namespace(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    if isinstance(value.get("name"), str):
        return not value.get("namespace")
    return any(map(_names_no_namespace, value.values()))


def _conditions(wanted: Wanted, stores: Mapping[StoreKey, Any], spaces: Spaces) -> Iterator[str]:
    """Why stores are not for an ExternalSecret, by their own conditions."""
    refs = [*(item.store for item in wanted.items), *(many.store for many in wanted.many)]
    for key in sorted({key_of(store, wanted.namespace).object for store in refs}):
        reason = access_rules.unconditional(stores.get(key), wanted.namespace, spaces.known.get(wanted.namespace))
        if reason:
            yield f"{key}: {reason}"
