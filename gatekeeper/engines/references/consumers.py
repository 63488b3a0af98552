"""What resources name: Secrets, ConfigMaps, stores and sources; with the field that names them, and the key asked for.

Sources: Kubernetes API `core/v1` (PodSpec, ServiceAccount), `networking.k8s.io/v1` Ingress; Flux `source`, `kustomize`
and `helm` toolkits; external-secrets `v1`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from gatekeeper.model import FieldPath, Resource, at

POD_PATHS: dict[str, FieldPath] = {
    "Pod": ("spec",),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    **dict.fromkeys(
        ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"), ("spec", "template", "spec")
    ),
}  # fmt: skip
FLUX_SOURCES = {"GitRepository", "OCIRepository", "HelmRepository", "Bucket", "HelmChart", "ExternalArtifact"}
# Fields of Flux's sources that name a Secret in their own namespace.
SOURCE_SECRETS = ("secretRef", "certSecretRef", "proxySecretRef")


class Need(NamedTuple):
    """One reference.

    Attributes:
        path: the field that names it.
        key: the key that is asked for; empty where all or any are.
        by_hand: whether it is usual that somebody creates it in the cluster by hand, as a first credential.
    """

    resource: Resource
    path: FieldPath
    kind: str
    namespace: str
    name: str
    key: str = ""
    by_hand: bool = False


def of(resource: Resource) -> Iterable[Need]:
    """All references of a resource; those that it marks as optional are left out."""
    kind, group = resource.ref.kind, resource.ref.group
    if kind in POD_PATHS:
        # Most workloads name nothing: those are not even read.
        names = b"ecret" in resource.json or b"onfigMap" in resource.json
        return _pod(resource, resource.value, POD_PATHS[kind]) if names else ()
    if kind == "ServiceAccount" and not group:
        return _named(resource, resource.value, ("imagePullSecrets",), "Secret")
    if kind == "HorizontalPodAutoscaler":
        return _scaled(resource, resource.value)
    if kind == "Ingress":
        return _ingress(resource, resource.value)
    if group == "source.toolkit.fluxcd.io":
        return _source(resource, resource.value)
    if group in ("kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io", "image.toolkit.fluxcd.io"):
        return _flux(resource, resource.value)
    if group == "external-secrets.io" and kind == "ExternalSecret":
        return _external(resource, resource.value)
    return ()


def _ingress(resource: Resource, value: Any) -> Iterator[Need]:
    for index, entry in _list(value, ("spec", "tls")):
        yield from _one(resource, entry, ("spec", "tls", index, "secretName"), "Secret")
    default = at(value, ("spec", "defaultBackend", "service"))
    yield from _one(resource, default, ("spec", "defaultBackend", "service", "name"), "Service")
    for index, rule in _list(value, ("spec", "rules")):
        for number, entry in _list(rule, ("http", "paths")):
            path: FieldPath = ("spec", "rules", index, "http", "paths", number, "backend", "service", "name")
            yield from _one(resource, at(entry, ("backend", "service")), path, "Service")


def _scaled(resource: Resource, value: Any) -> Iterator[Need]:
    held = at(value, ("spec", "scaleTargetRef"))
    kind = at(held, ("kind",))
    if kind in POD_PATHS:
        yield from _one(resource, held, ("spec", "scaleTargetRef", "name"), str(kind))


def _source(resource: Resource, value: Any) -> Iterator[Need]:
    for field in SOURCE_SECRETS:
        held = at(value, ("spec", field))
        yield from _one(resource, held, ("spec", field, "name"), "Secret", by_hand=True)


def _pod(resource: Resource, value: Any, pod: FieldPath) -> Iterator[Need]:
    yield from _named(resource, value, (*pod, "imagePullSecrets"), "Secret")
    for word in ("containers", "initContainers"):
        for index, container in _list(value, (*pod, word)):
            here: FieldPath = (*pod, word, index)
            for number, entry in _list(container, ("envFrom",)):
                for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                    yield from _one(resource, at(entry, (field,)), (*here, "envFrom", number, field, "name"), kind)
            for number, entry in _list(container, ("env",)):
                for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                    held = at(entry, ("valueFrom", field))
                    path: FieldPath = (*here, "env", number, "valueFrom", field, "name")
                    yield from _one(resource, held, path, kind, key=_text(at(held, ("key",))))
    for index, volume in _list(value, (*pod, "volumes")):
        yield from _volume(resource, volume, (*pod, "volumes", index))


def _volume(resource: Resource, volume: Any, here: FieldPath) -> Iterator[Need]:
    yield from _one(resource, at(volume, ("secret",)), (*here, "secret", "secretName"), "Secret")
    yield from _one(resource, at(volume, ("configMap",)), (*here, "configMap", "name"), "ConfigMap")
    for number, source in _list(volume, ("projected", "sources")):
        for field, kind in (("secret", "Secret"), ("configMap", "ConfigMap")):
            path: FieldPath = (*here, "projected", "sources", number, field, "name")
            yield from _one(resource, at(source, (field,)), path, kind)


def _flux(resource: Resource, value: Any) -> Iterator[Need]:
    places: tuple[FieldPath, ...] = (
        ("spec", "sourceRef"),
        ("spec", "chart", "spec", "sourceRef"),
        ("spec", "chartRef"),
    )
    for where in places:
        held = at(value, where)
        if at(held, ("kind",)) in FLUX_SOURCES:
            # The source that `flux bootstrap` makes is often in no file.
            first = at(held, ("name",)) == "flux-system"
            yield from _one(resource, held, (*where, "name"), held["kind"], by_hand=first)
    policy = at(value, ("spec", "imageRepositoryRef"))
    yield from _one(resource, policy, ("spec", "imageRepositoryRef", "name"), "ImageRepository")
    for index, entry in _list(value, ("spec", "dependsOn")):
        yield from _one(resource, entry, ("spec", "dependsOn", index, "name"), resource.ref.kind)
    lists: tuple[FieldPath, ...] = (("spec", "valuesFrom"), ("spec", "postBuild", "substituteFrom"))
    for where in lists:
        for index, entry in _list(value, where):
            if at(entry, ("kind",)) in ("Secret", "ConfigMap"):
                key = _text(at(entry, ("valuesKey",)))
                yield from _one(resource, entry, (*where, index, "name"), entry["kind"], key=key)


def _external(resource: Resource, value: Any) -> Iterator[Need]:
    held = at(value, ("spec", "secretStoreRef"))
    kind = at(held, ("kind",)) or "SecretStore"
    if isinstance(kind, str):
        yield from _one(resource, held, ("spec", "secretStoreRef", "name"), kind)


def _named(resource: Resource, value: Any, where: FieldPath, kind: str) -> Iterator[Need]:
    for index, entry in _list(value, where):
        yield from _one(resource, entry, (*where, index, "name"), kind)


def _one(
    resource: Resource, holder: Any, path: FieldPath, kind: str, key: str = "", by_hand: bool = False
) -> Iterator[Need]:
    """The reference that a mapping holds in the last field of a path, unless it is optional or still to come."""
    name = at(holder, (path[-1],))
    if isinstance(name, str) and name and "${" not in name and at(holder, ("optional",)) is not True:
        cluster_wide = kind.startswith("Cluster")
        namespace = "" if cluster_wide else _text(at(holder, ("namespace",))) or resource.ref.namespace
        yield Need(resource, path, kind, namespace, name, key, by_hand)


def _list(value: Any, path: FieldPath) -> list[tuple[int, Any]]:
    held = at(value, path)
    return list(enumerate(held)) if isinstance(held, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
