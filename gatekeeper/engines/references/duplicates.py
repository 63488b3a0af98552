"""What is provided twice in one cluster, and what is provided and never used.

A repository may hold many clusters, each with things of the same name. What one cluster gets is what is built from one
place that nothing else applies: the root of a Flux tree, an overlay, a folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from gatekeeper.engines.references import providers as references_providers
from gatekeeper.model import Finding, Resource, get_field

ResourceGroups = Sequence[tuple[str, Sequence[Resource]]]
# Things that several files bring on purpose, and that nobody minds.
SHARED_KINDS = {
    "Namespace",
    "CustomResourceDefinition",
    "Kustomization",
    "HelmRepository",
    "GitRepository",
    "OCIRepository",
}
# Secrets and ConfigMaps that somebody finds by their labels or type, not by name.
DISCOVERED_TYPES = ("kubernetes.io/service-account-token", "helm.sh/", "bootstrap.kubernetes.io/token")
COMMON_LABELS = ("app.kubernetes.io/", "helm.sh/", "kustomize.toolkit.fluxcd.io/")
# Names in any text: in arguments, URLs and scripts too.
NAME_PATTERN = re.compile(rb"[A-Za-z0-9][A-Za-z0-9.-]*")


class ObjectProvider(NamedTuple):
    """Who provides something, and in which clusters."""

    resource: Resource
    clusters: frozenset[str]


def check_duplicates_and_unused(resource_groups: ResourceGroups, active_namespaces: Iterable[str]) -> Iterator[Finding]:
    """What is there twice, and what nothing uses.

    Args:
        active_namespaces: namespaces in which something works that may use what no file names.
    """
    homes = find_clusters(resource_groups)
    known: dict[tuple[str, str, str], list[ObjectProvider]] = {}
    for (_, lot), home in zip(resource_groups, homes, strict=True):
        for resource in lot:
            for provided in references_providers.find_provided(resource):
                if provided.kind not in SHARED_KINDS and provided.name and "${" not in provided.name:
                    key = (provided.kind, provided.namespace, provided.name)
                    known.setdefault(key, []).append(ObjectProvider(resource, home))
    for (kind, namespace, name), providers in known.items():
        yield from _find_duplicates(f"{kind} {namespace}{namespace and '/'}{name}", providers)
    yield from _find_unused(known, resource_groups, set(active_namespaces))


def _find_duplicates(description: str, providers: Sequence[ObjectProvider]) -> Iterator[Finding]:
    """The later ones of those that would overwrite each other."""
    first: list[ObjectProvider] = []
    for one in providers:
        other = next((before for before in first if _is_conflict(before, one)), None)
        if other is None:
            first.append(one)
            continue
        resource, place = one.resource, other.resource.origin.find_location(("metadata", "name"))
        where = f"{place.file}:{place.line}" if place.line else place.file
        message = (
            f"{description} is provided twice: here by {resource.ref.kind}, and by {other.resource.ref.kind} in {where}"
        )
        path = ("metadata", "name")
        hint = "keep one of them; each would overwrite the other"
        yield Finding(
            "references/twice", "error", message, resource.origin.find_location(path), resource.ref, path, hint, "field"
        )


def _is_conflict(first: ObjectProvider, second: ObjectProvider) -> bool:
    """Whether two provide the same to the same cluster in different ways."""
    left, right = first.resource, second.resource
    if left.json == right.json or not first.clusters & second.clusters:
        return False
    return left.ref.kind != right.ref.kind or left.origin.file != right.origin.file


def find_clusters(resource_groups: ResourceGroups) -> list[frozenset[str]]:
    """For each part the places that nothing applies and from which it comes into a cluster."""
    folders: dict[str, list[int]] = {}
    for number, (where, _) in enumerate(resource_groups):
        folders.setdefault(_find_folder(where), []).append(number)
    above: list[set[int]] = [set() for _ in resource_groups]
    for number, (_, lot) in enumerate(resource_groups):
        for path in _list_applied_paths(lot):
            for folder, numbers in folders.items():
                if folder == path or folder.startswith(f"{path}/"):
                    for below in numbers:
                        above[below] |= {number} - {below}
    homes: list[frozenset[str]] = []
    for number, (where, _) in enumerate(resource_groups):
        seen, waiting = {number}, [number]
        while waiting:
            for upper in above[waiting.pop()] - seen:
                seen.add(upper)
                waiting.append(upper)
        roots = {_find_folder(resource_groups[one][0]) for one in seen if not above[one]}
        homes.append(frozenset(roots or {_find_folder(where)}))
    return homes


def _find_folder(source_path: str) -> str:
    """A part's folder: where a file is named, the folder around it."""
    return source_path.rpartition("/")[0] if source_path.endswith((".yaml", ".yml", ".json")) else source_path


def _list_applied_paths(resources: Iterable[Resource]) -> Iterator[str]:
    for resource in resources:
        paths = []
        if resource.ref.kind == "Kustomization" and resource.ref.group == "kustomize.toolkit.fluxcd.io":
            paths = [get_field(resource.value, ("spec", "path"))]
        elif resource.ref.kind == "Application" and resource.ref.group == "argoproj.io":
            paths = [get_field(resource.value, ("spec", "source", "path"))]
        for path in paths:
            clean = path.strip("./") if isinstance(path, str) else ""
            if clean:
                yield clean


def _find_unused(
    providers_by_object: Mapping[tuple[str, str, str], Sequence[ObjectProvider]],
    resource_groups: ResourceGroups,
    active_namespaces: set[str],
) -> Iterator[Finding]:
    """Secrets and ConfigMaps whose name stands nowhere else."""
    waiting: dict[bytes, list[tuple[str, Resource]]] = {}
    for (kind, namespace, name), providers in providers_by_object.items():
        if kind in ("Secret", "ConfigMap") and namespace and namespace not in active_namespaces:
            resource = providers[0].resource
            if not _is_discovered_otherwise(resource):
                waiting.setdefault(name.encode(), []).append((kind, resource))
    if not waiting:
        return
    makes = {id(resource) for pairs in waiting.values() for _, resource in pairs}
    for _, lot in resource_groups:
        for resource in lot:
            if id(resource) not in makes:
                for word in waiting.keys() & set(NAME_PATTERN.findall(resource.json)):
                    del waiting[word]
    for pairs in waiting.values():
        for kind, resource in pairs:
            what = f"{kind} {resource.ref.namespace}/{resource.ref.name}"
            message = f"{what} is provided, and nothing in the repository names it"
            hint = "remove it, or list it under `references.allow` if something outside uses it"
            path = ("metadata", "name")
            place = resource.origin.find_location(path)
            yield Finding("references/unused", "warning", message, place, resource.ref, path, hint, "field")


def _is_discovered_otherwise(resource: Resource) -> bool:
    value = resource.value
    labels, kind = get_field(value, ("metadata", "labels")), get_field(value, ("type",))
    telling = [key for key in labels if not str(key).startswith(COMMON_LABELS)] if isinstance(labels, dict) else []
    return (
        bool([key for key in telling if key not in ("app", "name", "team", "owner")])
        or bool(get_field(value, ("metadata", "annotations")))
        or (isinstance(kind, str) and kind.startswith(DISCOVERED_TYPES))
        or resource.ref.kind in ("Ingress", "Certificate", "ClusterExternalSecret")
    )
