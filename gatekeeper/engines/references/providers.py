"""What resources bring: themselves, and what a controller makes of them in the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from gatekeeper.model import Resource, get_field

ProvidedKeys = frozenset[str] | None


class ProvidedObject(NamedTuple):
    """Something that is there, or will be: its kind, namespace, name and keys (None where they are not known)."""

    kind: str
    namespace: str
    name: str
    keys: ProvidedKeys = None


def find_provided(resource: Resource) -> Iterator[ProvidedObject]:
    """What a resource is, and what is made of it."""
    ref = resource.ref
    namespace = "" if ref.kind.startswith("Cluster") else ref.namespace
    value = resource.value if ref.kind in READERS or ref.kind in ("Secret", "ConfigMap") else None
    keys = _collect_keys(value, "data", "stringData", "binaryData") if ref.kind in ("Secret", "ConfigMap") else None
    yield ProvidedObject(ref.kind, namespace, ref.name, keys)
    if ref.kind in READERS:
        yield from READERS[ref.kind](resource, value)


def _collect_keys(value: Any, *sections: str) -> frozenset[str]:
    held = (get_field(value, (section,)) for section in sections)
    return frozenset(str(key) for part in held if isinstance(part, dict) for key in part)


def _read_sealed_secret(resource: Resource, value: Any) -> Iterator[ProvidedObject]:
    name = get_field(value, ("spec", "template", "metadata", "name")) or resource.ref.name
    sealed = _collect_keys(get_field(value, ("spec",)), "encryptedData") | _collect_keys(
        get_field(value, ("spec", "template")), "data"
    )
    yield ProvidedObject("Secret", resource.ref.namespace, str(name), sealed)


def _read_external_secret(resource: Resource, value: Any) -> Iterator[ProvidedObject]:
    name = get_field(value, ("spec", "target", "name")) or resource.ref.name
    spec = get_field(value, ("spec",))
    listed = get_field(spec, ("data",))
    fetched = get_field(spec, ("dataFrom",)) or get_field(spec, ("target", "template"))
    keys = (
        frozenset(str(get_field(entry, ("secretKey",))) for entry in listed)
        if isinstance(listed, list)
        else frozenset()
    )
    yield ProvidedObject("Secret", resource.ref.namespace, str(name), None if fetched else keys)


def _read_cluster_external_secret(resource: Resource, value: Any) -> Iterator[ProvidedObject]:
    """A ClusterExternalSecret makes an ExternalSecret, and so a Secret, in namespaces that only the cluster knows."""
    name = get_field(value, ("spec", "externalSecretSpec", "target", "name")) or get_field(
        value, ("spec", "externalSecretName")
    )
    yield ProvidedObject("Secret", "", str(name or resource.ref.name))


def _read_certificate(resource: Resource, value: Any) -> Iterator[ProvidedObject]:
    name = get_field(value, ("spec", "secretName"))
    if isinstance(name, str):
        yield ProvidedObject("Secret", resource.ref.namespace, name)


def _read_ingress(resource: Resource, value: Any) -> Iterator[ProvidedObject]:
    """cert-manager makes the Secrets of an Ingress that asks for it by an annotation."""
    annotations = get_field(value, ("metadata", "annotations"))
    if isinstance(annotations, dict) and any(str(key).startswith("cert-manager.io/") for key in annotations):
        listed = get_field(value, ("spec", "tls"))
        for entry in listed if isinstance(listed, list) else ():
            yield ProvidedObject("Secret", resource.ref.namespace, str(get_field(entry, ("secretName",))))


def _read_artifacts(resource: Resource, value: Any) -> Iterator[ProvidedObject]:
    listed = get_field(value, ("spec", "artifacts"))
    for entry in listed if isinstance(listed, list) else ():
        yield ProvidedObject("ExternalArtifact", resource.ref.namespace, str(get_field(entry, ("name",))))


READERS = {
    "SealedSecret": _read_sealed_secret,
    "ExternalSecret": _read_external_secret,
    "ClusterExternalSecret": _read_cluster_external_secret,
    "Certificate": _read_certificate,
    "Ingress": _read_ingress,
    "ArtifactGenerator": _read_artifacts,
}
