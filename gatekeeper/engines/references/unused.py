"""Secrets and ConfigMaps that nothing in the repository uses."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from gatekeeper.engines.references.duplicates import ProvidersByObject, ResourceGroups
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import Finding, Resource, get_field

# Secrets that are found by their type, and labels that do not show which objects use an object.
DISCOVERED_TYPES = ("kubernetes.io/service-account-token", "helm.sh/", "bootstrap.kubernetes.io/token")
COMMON_LABEL_PREFIXES = ("app.kubernetes.io/", "helm.sh/", "kustomize.toolkit.fluxcd.io/")
COMMON_LABELS = ("app", "name", "team", "owner")
# Names in any text: in arguments, URLs and scripts, too.
NAME_PATTERN = compile_lazily(rb"[A-Za-z0-9][A-Za-z0-9.-]*")


def check_unused(
    providers_by_object: ProvidersByObject, resource_groups: ResourceGroups, active_namespaces: Collection[str]
) -> Iterator[Finding]:
    """Yields a warning for each Secret and ConfigMap whose name is in no text of another resource.

    Args:
        active_namespaces: namespaces with charts or operators, which may use objects that no file names.
    """
    candidates: dict[bytes, list[tuple[str, Resource]]] = {}
    for (kind, namespace, name), object_providers in providers_by_object.items():
        if kind in ("Secret", "ConfigMap") and namespace and namespace not in active_namespaces:
            resource = object_providers[0].resource
            if not _is_discovered_otherwise(resource):
                candidates.setdefault(name.encode(), []).append((kind, resource))
    if not candidates:
        return
    candidate_ids = {id(resource) for same_name in candidates.values() for _, resource in same_name}
    for _, resources in resource_groups:
        for resource in resources:
            if id(resource) not in candidate_ids:
                for name_in_use in candidates.keys() & set(NAME_PATTERN.findall(resource.json)):
                    del candidates[name_in_use]
    hint = "remove it, or list it under `references.allow` if something outside the repository uses it"
    for same_name in candidates.values():
        for kind, resource in same_name:
            message = f"{kind} {resource.ref.namespace}/{resource.ref.name} is not used by anything in the repository"
            path = ("metadata", "name")
            yield resource.build_finding("references/unused", message, path, hint=hint, severity="warning")


def _is_discovered_otherwise(resource: Resource) -> bool:
    """Whether something may find the object by labels, annotations or type instead of by name."""
    value = resource.value
    labels, secret_type = get_field(value, ("metadata", "labels")), get_field(value, ("type",))
    keys = [str(key) for key in labels] if isinstance(labels, dict) else []
    return (
        any(not key.startswith(COMMON_LABEL_PREFIXES) and key not in COMMON_LABELS for key in keys)
        or bool(get_field(value, ("metadata", "annotations")))
        or (isinstance(secret_type, str) and secret_type.startswith(DISCOVERED_TYPES))
        or resource.ref.kind in ("Ingress", "Certificate", "ClusterExternalSecret")
    )
