"""What resources bring: themselves, and what a controller makes of them in the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from gatekeeper.model import Resource, at

Keys = frozenset[str] | None


class Provided(NamedTuple):
    """Something that is there, or will be: its kind, namespace, name and keys (None where they are not known)."""

    kind: str
    namespace: str
    name: str
    keys: Keys = None


def of(resource: Resource) -> Iterator[Provided]:
    """What a resource is, and what is made of it."""
    ref = resource.ref
    namespace = "" if ref.kind.startswith("Cluster") else ref.namespace
    value = resource.value if ref.kind in READERS or ref.kind in ("Secret", "ConfigMap") else None
    keys = _keys(value, "data", "stringData", "binaryData") if ref.kind in ("Secret", "ConfigMap") else None
    yield Provided(ref.kind, namespace, ref.name, keys)
    if ref.kind in READERS:
        yield from READERS[ref.kind](resource, value)


def _keys(value: Any, *sections: str) -> frozenset[str]:
    held = (at(value, (section,)) for section in sections)
    return frozenset(str(key) for part in held if isinstance(part, dict) for key in part)


def _sealed(resource: Resource, value: Any) -> Iterator[Provided]:
    name = at(value, ("spec", "template", "metadata", "name")) or resource.ref.name
    sealed = _keys(at(value, ("spec",)), "encryptedData") | _keys(at(value, ("spec", "template")), "data")
    yield Provided("Secret", resource.ref.namespace, str(name), sealed)


def _external(resource: Resource, value: Any) -> Iterator[Provided]:
    name = at(value, ("spec", "target", "name")) or resource.ref.name
    spec = at(value, ("spec",))
    listed = at(spec, ("data",))
    fetched = at(spec, ("dataFrom",)) or at(spec, ("target", "template"))
    keys = frozenset(str(at(entry, ("secretKey",))) for entry in listed) if isinstance(listed, list) else frozenset()
    yield Provided("Secret", resource.ref.namespace, str(name), None if fetched else keys)


def _everywhere(resource: Resource, value: Any) -> Iterator[Provided]:
    """A ClusterExternalSecret makes an ExternalSecret, and so a Secret, in namespaces that only the cluster knows."""
    name = at(value, ("spec", "externalSecretSpec", "target", "name")) or at(value, ("spec", "externalSecretName"))
    yield Provided("Secret", "", str(name or resource.ref.name))


def _certificate(resource: Resource, value: Any) -> Iterator[Provided]:
    name = at(value, ("spec", "secretName"))
    if isinstance(name, str):
        yield Provided("Secret", resource.ref.namespace, name)


def _ingress(resource: Resource, value: Any) -> Iterator[Provided]:
    """cert-manager makes the Secrets of an Ingress that asks for it by an annotation."""
    annotations = at(value, ("metadata", "annotations"))
    if isinstance(annotations, dict) and any(str(key).startswith("cert-manager.io/") for key in annotations):
        listed = at(value, ("spec", "tls"))
        for entry in listed if isinstance(listed, list) else ():
            yield Provided("Secret", resource.ref.namespace, str(at(entry, ("secretName",))))


def _artifacts(resource: Resource, value: Any) -> Iterator[Provided]:
    listed = at(value, ("spec", "artifacts"))
    for entry in listed if isinstance(listed, list) else ():
        yield Provided("ExternalArtifact", resource.ref.namespace, str(at(entry, ("name",))))


READERS = {
    "SealedSecret": _sealed,
    "ExternalSecret": _external,
    "ClusterExternalSecret": _everywhere,
    "Certificate": _certificate,
    "Ingress": _ingress,
    "ArtifactGenerator": _artifacts,
}
