"""Objects that resources provide: the resources themselves, and what controllers create from them in the cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gatekeeper.model import FieldPath, Resource, get_field, read_labels
from gatekeeper.named_tuple import NamedTuple

ISSUER_ANNOTATIONS = ("cert-manager.io/issuer", "cert-manager.io/cluster-issuer")
ProvidedKeys = frozenset[str] | None


class ProvidedObject(NamedTuple):
    """An object that exists or will exist: its kind, namespace, name, and its keys if they are known."""

    kind: str
    namespace: str
    name: str
    keys: ProvidedKeys = None


def find_provided(resource: Resource) -> Sequence[ProvidedObject]:
    """Finds the objects that a resource provides: itself, and what a controller creates from it."""
    ref = resource.ref
    namespace = "" if ref.kind.startswith("Cluster") else ref.namespace
    if ref.kind in ("Secret", "ConfigMap"):
        keys = _collect_keys(resource.value, "data", "stringData", "binaryData")
        return (ProvidedObject(ref.kind, namespace, ref.name, keys),)
    own = ProvidedObject(ref.kind, namespace, ref.name)
    return (own, *READERS[ref.kind](resource, resource.value)) if ref.kind in READERS else (own,)


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


def _read_trust_bundle(resource: Resource, value: Any) -> Iterator[ProvidedObject]:
    """trust-manager creates a ConfigMap or Secret with the name of the Bundle in each namespace that it selects."""
    target = get_field(value, ("spec", "target"))
    for field, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
        if resource.ref.group == "trust.cert-manager.io" and get_field(target, (field,)) is not None:
            yield ProvidedObject(kind, "", resource.ref.name)


def _read_certificate(resource: Resource, value: Any) -> Iterator[ProvidedObject]:
    name = get_field(value, ("spec", "secretName"))
    if isinstance(name, str):
        yield ProvidedObject("Secret", resource.ref.namespace, name)


def _read_ingress(resource: Resource, value: Any) -> Iterator[ProvidedObject]:
    """cert-manager creates the TLS Secrets of an Ingress with an issuer, or with the default issuer.

    Source: cert-manager `pkg/controller/certificate-shim` (`shouldSync`).
    """
    if _has_issuer(value):
        for entry in _list_entries(value, ("spec", "tls")):
            yield ProvidedObject("Secret", resource.ref.namespace, str(get_field(entry, ("secretName",))))


def _read_gateway(resource: Resource, value: Any) -> Iterator[ProvidedObject]:
    """cert-manager creates the Secrets of the listeners of a Gateway with an issuer, in the Gateway's own namespace."""
    if resource.ref.group == "gateway.networking.k8s.io" and _has_issuer(value):
        for listener in _list_entries(value, ("spec", "listeners")):
            for entry in _list_entries(listener, ("tls", "certificateRefs")):
                if get_field(entry, ("namespace",)) in (None, resource.ref.namespace):
                    yield ProvidedObject("Secret", resource.ref.namespace, str(get_field(entry, ("name",))))


def _has_issuer(value: Any) -> bool:
    annotations = read_labels(value, "annotations")
    # Go's `strconv.ParseBool`.
    has_default = annotations.get("kubernetes.io/tls-acme") in ("1", "t", "T", "TRUE", "true", "True")
    return has_default or not annotations.keys().isdisjoint(ISSUER_ANNOTATIONS)


def _list_entries(value: Any, path: FieldPath) -> list[Any]:
    listed = get_field(value, path)
    return listed if isinstance(listed, list) else []


def _read_artifacts(resource: Resource, value: Any) -> Iterator[ProvidedObject]:
    for entry in _list_entries(value, ("spec", "artifacts")):
        yield ProvidedObject("ExternalArtifact", resource.ref.namespace, str(get_field(entry, ("name",))))


READERS = {
    "SealedSecret": _read_sealed_secret,
    "ExternalSecret": _read_external_secret,
    "ClusterExternalSecret": _read_cluster_external_secret,
    "Certificate": _read_certificate,
    "Ingress": _read_ingress,
    "Gateway": _read_gateway,
    "Bundle": _read_trust_bundle,
    "ArtifactGenerator": _read_artifacts,
}
