"""References of resources to Secrets, ConfigMaps, Services, stores and sources, each with the field that holds it.

Sources: Kubernetes API `core/v1` (PodSpec, ServiceAccount), `networking.k8s.io/v1` Ingress; Flux `source`, `kustomize`
and `helm` toolkits; external-secrets `v1`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from gatekeeper.model import FieldPath, Resource, get_field
from gatekeeper.named_tuple import NamedTuple

POD_SPEC_PATHS: dict[str, FieldPath] = {
    "Pod": ("spec",),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"), ("spec", "template", "spec")),
}
FLUX_SOURCE_KINDS = {"GitRepository", "OCIRepository", "HelmRepository", "Bucket", "HelmChart", "ExternalArtifact"}
# Fields of Flux sources with the name of a Secret in the namespace of the source.
SOURCE_SECRET_FIELDS = ("secretRef", "certSecretRef", "proxySecretRef")


class Reference(NamedTuple):
    """A reference from a field of a resource to another object.

    Attributes:
        resource: the resource that holds the reference.
        path: the field with the name of the other object.
        kind: the kind of the other object; `namespace` is empty for cluster-wide kinds.
        key: the key of the Secret or ConfigMap that is used; empty for all keys.
        is_usually_manual: whether people usually create the object in the cluster by hand, such as a first credential.
    """

    resource: Resource
    path: FieldPath
    kind: str
    namespace: str
    name: str
    key: str = ""
    is_usually_manual: bool = False


def find_references(resource: Resource) -> Iterable[Reference]:
    """Finds all references of a resource, except those that it marks as optional."""
    kind = resource.ref.kind
    if kind in POD_SPEC_PATHS:
        # Most workloads have no reference: their JSON is not even parsed.
        may_refer = b"ecret" in resource.json or b"onfigMap" in resource.json
        return _read_pod(resource, resource.value, POD_SPEC_PATHS[kind]) if may_refer else ()
    group = resource.ref.group
    if kind == "ServiceAccount" and not group:
        return _read_entries(resource, resource.value, ("imagePullSecrets",), "Secret")
    if kind == "HorizontalPodAutoscaler":
        return _read_autoscaler(resource, resource.value)
    if kind == "Ingress":
        return _read_ingress(resource, resource.value)
    if group == "source.toolkit.fluxcd.io":
        return _read_flux_source(resource, resource.value)
    if group in ("kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io", "image.toolkit.fluxcd.io"):
        return _read_flux_object(resource, resource.value)
    if group == "external-secrets.io" and kind == "ExternalSecret":
        return _read_external_secret(resource, resource.value)
    return ()


def _read_ingress(resource: Resource, value: Any) -> Iterator[Reference]:
    for index, entry in _list_items(value, ("spec", "tls")):
        yield from _read_reference(resource, entry, ("spec", "tls", index, "secretName"), "Secret")
    default = get_field(value, ("spec", "defaultBackend", "service"))
    yield from _read_reference(resource, default, ("spec", "defaultBackend", "service", "name"), "Service")
    for index, rule in _list_items(value, ("spec", "rules")):
        for number, entry in _list_items(rule, ("http", "paths")):
            path: FieldPath = ("spec", "rules", index, "http", "paths", number, "backend", "service", "name")
            yield from _read_reference(resource, get_field(entry, ("backend", "service")), path, "Service")


def _read_autoscaler(resource: Resource, value: Any) -> Iterator[Reference]:
    target = get_field(value, ("spec", "scaleTargetRef"))
    kind = get_field(target, ("kind",))
    if kind in POD_SPEC_PATHS:
        yield from _read_reference(resource, target, ("spec", "scaleTargetRef", "name"), str(kind))


def _read_flux_source(resource: Resource, value: Any) -> Iterator[Reference]:
    for field in SOURCE_SECRET_FIELDS:
        secret_ref = get_field(value, ("spec", field))
        yield from _read_reference(resource, secret_ref, ("spec", field, "name"), "Secret", is_usually_manual=True)


def _read_pod(resource: Resource, value: Any, pod_path: FieldPath) -> Iterator[Reference]:
    yield from _read_entries(resource, value, (*pod_path, "imagePullSecrets"), "Secret")
    for list_name in ("containers", "initContainers"):
        for index, container in _list_items(value, (*pod_path, list_name)):
            here: FieldPath = (*pod_path, list_name, index)
            for number, entry in _list_items(container, ("envFrom",)):
                for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                    yield from _read_reference(
                        resource, get_field(entry, (field,)), (*here, "envFrom", number, field, "name"), kind
                    )
            for number, entry in _list_items(container, ("env",)):
                for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                    key_ref = get_field(entry, ("valueFrom", field))
                    path: FieldPath = (*here, "env", number, "valueFrom", field, "name")
                    key = _to_text(get_field(key_ref, ("key",)))
                    yield from _read_reference(resource, key_ref, path, kind, key=key)
    for index, volume in _list_items(value, (*pod_path, "volumes")):
        yield from _read_volume(resource, volume, (*pod_path, "volumes", index))


def _read_volume(resource: Resource, volume: Any, volume_path: FieldPath) -> Iterator[Reference]:
    yield from _read_reference(
        resource, get_field(volume, ("secret",)), (*volume_path, "secret", "secretName"), "Secret"
    )
    yield from _read_reference(
        resource, get_field(volume, ("configMap",)), (*volume_path, "configMap", "name"), "ConfigMap"
    )
    for number, source in _list_items(volume, ("projected", "sources")):
        for field, kind in (("secret", "Secret"), ("configMap", "ConfigMap")):
            path: FieldPath = (*volume_path, "projected", "sources", number, field, "name")
            yield from _read_reference(resource, get_field(source, (field,)), path, kind)


def _read_flux_object(resource: Resource, value: Any) -> Iterator[Reference]:
    source_paths: tuple[FieldPath, ...] = (
        ("spec", "sourceRef"),
        ("spec", "chart", "spec", "sourceRef"),
        ("spec", "chartRef"),
    )
    for source_path in source_paths:
        source = get_field(value, source_path)
        if get_field(source, ("kind",)) in FLUX_SOURCE_KINDS:
            # The source that `flux bootstrap` creates is often in no file.
            is_bootstrap = get_field(source, ("name",)) == "flux-system"
            path = (*source_path, "name")
            yield from _read_reference(resource, source, path, source["kind"], is_usually_manual=is_bootstrap)
    repository = get_field(value, ("spec", "imageRepositoryRef"))
    yield from _read_reference(resource, repository, ("spec", "imageRepositoryRef", "name"), "ImageRepository")
    for index, entry in _list_items(value, ("spec", "dependsOn")):
        yield from _read_reference(resource, entry, ("spec", "dependsOn", index, "name"), resource.ref.kind)
    list_paths: tuple[FieldPath, ...] = (("spec", "valuesFrom"), ("spec", "postBuild", "substituteFrom"))
    for list_path in list_paths:
        for index, entry in _list_items(value, list_path):
            if get_field(entry, ("kind",)) in ("Secret", "ConfigMap"):
                key = _to_text(get_field(entry, ("valuesKey",)))
                yield from _read_reference(resource, entry, (*list_path, index, "name"), entry["kind"], key=key)


def _read_external_secret(resource: Resource, value: Any) -> Iterator[Reference]:
    store = get_field(value, ("spec", "secretStoreRef"))
    kind = get_field(store, ("kind",)) or "SecretStore"
    if isinstance(kind, str):
        yield from _read_reference(resource, store, ("spec", "secretStoreRef", "name"), kind)


def _read_entries(resource: Resource, value: Any, list_path: FieldPath, kind: str) -> Iterator[Reference]:
    for index, entry in _list_items(value, list_path):
        yield from _read_reference(resource, entry, (*list_path, index, "name"), kind)


def _read_reference(
    resource: Resource, holder: Any, path: FieldPath, kind: str, *, key: str = "", is_usually_manual: bool = False
) -> Iterator[Reference]:
    """Reads the reference in the last field of a path, unless it is optional or has an unresolved Flux variable."""
    name = get_field(holder, (path[-1],))
    if isinstance(name, str) and name and "${" not in name and get_field(holder, ("optional",)) is not True:
        is_cluster_wide = kind.startswith("Cluster")
        namespace = "" if is_cluster_wide else _to_text(get_field(holder, ("namespace",))) or resource.ref.namespace
        yield Reference(
            resource=resource,
            path=path,
            kind=kind,
            namespace=namespace,
            name=name,
            key=key,
            is_usually_manual=is_usually_manual,
        )


def _list_items(value: Any, path: FieldPath) -> list[tuple[int, Any]]:
    items = get_field(value, path)
    return list(enumerate(items)) if isinstance(items, list) else []


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else ""
