"""Objects that are defined twice for the same cluster, in different ways.

A repository may hold many clusters, each with objects of the same name. What one cluster gets is what is built from one
root: a path that no other Flux Kustomization or Argo CD Application of the repository applies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gatekeeper.engines.references import providers
from gatekeeper.model import Finding, Resource, get_field
from gatekeeper.named_tuple import NamedTuple

# Resources with the file or folder that they were rendered from.
ResourceGroups = Sequence[tuple[str, Sequence[Resource]]]
ObjectKey = tuple[str, str, str]
# Kinds that several files commonly define, with no harm done.
SHARED_KINDS = {
    "Namespace",
    "CustomResourceDefinition",
    "Kustomization",
    "HelmRepository",
    "GitRepository",
    "OCIRepository",
}
APPLIER_KINDS = ("Kustomization", "Application")


class ObjectProvider(NamedTuple):
    """A resource that provides an object.

    Attributes:
        group: the number of its resource group.
        clusters: the roots of the clusters that it comes into.
    """

    resource: Resource
    group: int
    clusters: frozenset[str]


ProvidersByObject = Mapping[ObjectKey, Sequence[ObjectProvider]]


def index_providers(resource_groups: ResourceGroups) -> ProvidersByObject:
    """Indexes the resources that provide each object, by kind, namespace and name of the object."""
    index: dict[ObjectKey, list[ObjectProvider]] = {}
    for number, clusters in enumerate(find_clusters(resource_groups)):
        for resource in resource_groups[number][1]:
            if resource.ref.kind == "ExternalSecret" and _is_merged(resource):
                continue
            for provided in providers.find_provided(resource):
                if provided.kind not in SHARED_KINDS and provided.name and "${" not in provided.name:
                    key = (provided.kind, provided.namespace, provided.name)
                    index.setdefault(key, []).append(ObjectProvider(resource, number, clusters))
    return index


def _is_merged(resource: Resource) -> bool:
    """Whether an ExternalSecret only adds keys to a Secret that something else creates."""
    return get_field(resource.value, ("spec", "target", "creationPolicy")) in ("Merge", "None")


def check_duplicates(providers_by_object: ProvidersByObject) -> Iterator[Finding]:
    """Yields a finding for each definition that would overwrite an earlier one in the same cluster."""
    for (kind, namespace, name), object_providers in providers_by_object.items():
        if len(object_providers) == 1:
            continue
        description = f"{kind} {namespace}{namespace and '/'}{name}"
        accepted: list[ObjectProvider] = []
        for provider in object_providers:
            other = next((earlier for earlier in accepted if _is_conflict(earlier, provider)), None)
            if other is None:
                accepted.append(provider)
            else:
                yield _build_duplicate_finding(description, provider.resource, other.resource)


def _build_duplicate_finding(description: str, resource: Resource, other: Resource) -> Finding:
    path = ("metadata", "name")
    location = other.origin.find_location(path)
    other_place = f"{location.file}:{location.line}" if location.line else location.file
    message = f"{description} is defined twice: by this {resource.ref.kind}, and by {other.ref.kind} in {other_place}"
    hint = "remove one of the two: in the cluster, one overwrites the other"
    return resource.build_finding("references/twice", message, path, hint=hint)


def _is_conflict(first: ObjectProvider, second: ObjectProvider) -> bool:
    """Whether two providers give the same cluster different definitions of one object."""
    left, right = first.resource, second.resource
    if left.ref.kind == right.ref.kind and left.ref.group != right.ref.group:
        return False
    is_one_file = left.ref.kind == right.ref.kind and left.origin.file == right.origin.file
    if is_one_file:
        # Several renderings of one document are no conflict; kustomize refuses even equal documents.
        return first.group == second.group and left.origin.find_location(()) != right.origin.find_location(())
    return left.json != right.json and bool(first.clusters & second.clusters)


def find_clusters(resource_groups: ResourceGroups) -> list[frozenset[str]]:
    """Finds, for each group, the folders of the groups at the top of the applies-path relation that lead to it.

    `clusters/one` applies `apps` by a Flux Kustomization with that path: then the cluster of `apps` is `clusters/one`.
    """
    numbers_by_folder: dict[str, list[int]] = {}
    for number, (source_path, _) in enumerate(resource_groups):
        numbers_by_folder.setdefault(_find_folder(source_path), []).append(number)
    applied_by: dict[int, set[int]] = {}
    appliers = [
        (number, resource)
        for number, (_, resources) in enumerate(resource_groups)
        for resource in resources
        if resource.ref.kind in APPLIER_KINDS
    ]
    for number, resource in appliers:
        path = _find_applied_path(resource)
        for folder, numbers in numbers_by_folder.items() if path else ():
            if folder == path or folder.startswith(f"{path}/"):
                for applied in numbers:
                    if applied != number:
                        applied_by.setdefault(applied, set()).add(number)
    # Nothing applies most groups: they are the roots themselves.
    own_roots = {folder: frozenset({folder}) for folder in numbers_by_folder}
    clusters = {number: own_roots[folder] for folder, numbers in numbers_by_folder.items() for number in numbers}
    for number in applied_by:
        seen, queue = {number}, [number]
        while queue:
            for upper in applied_by.get(queue.pop(), set()) - seen:
                seen.add(upper)
                queue.append(upper)
        roots = {_find_folder(resource_groups[group][0]) for group in seen if group not in applied_by}
        # Without a root the groups apply each other in a cycle: each then represents a separate cluster.
        clusters[number] = frozenset(roots) or clusters[number]
    return [clusters[number] for number in range(len(resource_groups))]


def _find_folder(source_path: str) -> str:
    """The folder of a group: that around a file, or the folder itself."""
    return source_path.rpartition("/")[0] if source_path.endswith((".yaml", ".yml", ".json")) else source_path


def _find_applied_path(resource: Resource) -> str:
    """The path that a Flux Kustomization or an Argo CD Application applies; empty for other resources."""
    path = None
    if resource.ref.kind == "Kustomization" and resource.ref.group == "kustomize.toolkit.fluxcd.io":
        path = get_field(resource.value, ("spec", "path"))
    elif resource.ref.kind == "Application" and resource.ref.group == "argoproj.io":
        path = get_field(resource.value, ("spec", "source", "path"))
    return path.strip("./") if isinstance(path, str) else ""
