"""Objects that resources provide: the resources themselves, and what controllers create from them in the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from gatekeeper.model import Resource, get_field

ProvidedKeys = frozenset[str] | None


class ProvidedObject(NamedTuple):
    """An object that exists or will exist: its kind, namespace, name, and its keys if they are known."""

    kind: str
    namespace: str
    name: str
    keys: ProvidedKeys = None


def find_provided(resource: Resource) -> Iterator[ProvidedObject]:
    """Finds the objects that a resource provides: itself, and what a controller creates from it."""
    ref = resource.ref
    namespace = "" if ref.kind.startswith("Cluster") else ref.namespace
    value = resource.value if ref.kind in READERS or ref.kind in ("Secret", "ConfigMap") else None
    keys = _collect_keys(value, "data", "stringData", "binaryData") if ref.kind in ("Secret", "ConfigMap") else None
    yield ProvidedObject(ref.kind, namespace, ref.name, keys)
    if ref.kind in READERS:
        yield from READERS[ref.kind](resource, value)


def _collect_keys(value: Any, *sections: str) -> frozenset[str]:
    parts = (get_field(value, (section,)) for section in sections)
    return frozenset(str(key) for part in parts if isinstance(part, dict) for key in part)


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
    has_unknown_keys = get_field(spec, ("dataFrom",)) or get_field(spec, ("target", "template"))
    keys = (
        frozenset(str(get_field(entry, ("secretKey",))) for entry in listed)
        if isinstance(listed, list)
        else frozenset()
    )
    yield ProvidedObject("Secret", resource.ref.namespace, str(name), None if has_unknown_keys else keys)


def _read_cluster_external_secret(resource: Resource, value: Any) -> Iterator[ProvidedObject]:
    """A ClusterExternalSecret creates a Secret in each of its namespaces, which only the cluster knows."""
    name = get_field(value, ("spec", "externalSecretSpec", "target", "name")) or get_field(
        value, ("spec", "externalSecretName")
    )
    yield ProvidedObject("Secret", "", str(name or resource.ref.name))


def _read_certificate(resource: Resource, value: Any) -> Iterator[ProvidedObject]:
    name = get_field(value, ("spec", "secretName"))
    if isinstance(name, str):
        yield ProvidedObject("Secret", resource.ref.namespace, name)


def _read_ingress(resource: Resource, value: Any) -> Iterator[ProvidedObject]:
    """cert-manager creates the TLS Secrets of an Ingress that has one of its annotations."""
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
