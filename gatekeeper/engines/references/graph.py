"""References between resources: each must lead to an object that exists, with the key in use, and without cycles.

The repository is not the whole cluster. Where something else may provide the object (an external chart, an
operator, a person with a first credential), a missing object is not a finding, or only a warning.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from gatekeeper.engines.references import (
    cluster_objects,
    consumers,
    duplicates,
    paths,
    providers,
    sealed_scope,
    service_selectors,
    store_conditions,
    unused,
)
from gatekeeper.engines.references.consumers import Reference
from gatekeeper.engines.references.duplicates import ObjectKey, ResourceGroups
from gatekeeper.engines.references.providers import ProvidedKeys
from gatekeeper.model import FieldPath, Finding, Gap, Resource, Severity, get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.workspace.tree import Tree

# Kinds with which an operator installs Flux, so that its own objects are in no file.
FLUX_INSTALLERS = {"FluxInstance"}
# The API groups of resources with `dependsOn`.
FLUX_GROUPS = ("kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io")
# API groups for whose resources no controller creates Secrets or ConfigMaps that others refer to.
PASSIVE_GROUPS = {
    "",
    "apps",
    "batch",
    "autoscaling",
    "policy",
    "networking.k8s.io",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "apiextensions.k8s.io",
    "admissionregistration.k8s.io",
    "scheduling.k8s.io",
    "bitnami.com",
    "external-secrets.io",
    "cert-manager.io",
    "gateway.networking.k8s.io",
    "monitoring.coreos.com",
    "source.toolkit.fluxcd.io",
    "kustomize.toolkit.fluxcd.io",
    "image.toolkit.fluxcd.io",
    "notification.toolkit.fluxcd.io",
}

ProviderIndex = Mapping[tuple[str, str], Sequence[tuple[str, ProvidedKeys]]]


class ReferenceEdge(NamedTuple):
    """A reference, and whether something in the repository provides the object that it refers to."""

    reference: Reference
    is_provided: bool


class ResourceKinds:
    """Resources by kind: most checks are about a few kinds, and look at no other resource."""

    def __init__(self, resources: Sequence[Resource]) -> None:
        self._resources = resources
        self._kinds = {(resource.ref.api_version, resource.ref.kind) for resource in resources}

    def select(self, predicate: Callable[[str, str], bool]) -> list[Resource]:
        """The resources for whose API group and kind a predicate holds, in their order."""
        kinds = {key for key in self._kinds if predicate(key[0].rpartition("/")[0], key[1])}
        if not kinds:
            return []
        return [resource for resource in self._resources if (resource.ref.api_version, resource.ref.kind) in kinds]


def list_edges(resources: Sequence[Resource]) -> list[ReferenceEdge]:
    """Lists all references, each once, sorted by the resources that hold them."""
    index = _build_index(resources)
    edges: dict[tuple[str, str, str, str, str], ReferenceEdge] = {}
    for resource in sorted(resources, key=lambda resource: str(resource.ref)):
        for reference in consumers.find_references(resource):
            key = (str(resource.ref), reference.kind, reference.namespace, reference.name, reference.key)
            edges.setdefault(key, ReferenceEdge(reference, bool(_find_provided_keys(reference, index))))
    return list(edges.values())


def evaluate(
    resource_groups: ResourceGroups, tree: Tree, allowed_patterns: Sequence[str], gaps: Sequence[Gap]
) -> list[Finding]:
    """Finds missing, duplicate and unused objects, and cycles of `dependsOn`.

    Args:
        resource_groups: the resources, each group with the file or folder that it was rendered from.
        tree: the files; if they are only a part of the repository, the rest may provide what is missing.
        allowed_patterns: objects that exist although no file shows them: patterns such as `Secret/prod/*`.
        gaps: what was not checked; after a fatal gap, other objects may exist.
    """
    resources = [resource for _, group in resource_groups for resource in group]
    kinds = ResourceKinds(resources)
    dependents = kinds.select(lambda group, kind: group in FLUX_GROUPS)
    sealed = kinds.select(lambda group, kind: (group, kind) == sealed_scope.SEALED_SECRET)
    findings = [*_find_cycles(dependents), *sealed_scope.check_sealed_scope(sealed)]
    if not tree.is_whole or any(gap.is_fatal for gap in gaps):
        return findings
    active_namespaces = _find_active_namespaces(kinds.select(lambda group, kind: group not in PASSIVE_GROUPS))
    providers_by_object = duplicates.index_providers(resource_groups)
    more_findings = (
        store_conditions.check_store_conditions(kinds.select(lambda group, kind: kind in store_conditions.KINDS)),
        service_selectors.check_service_selectors(resources, active_namespaces),
        paths.check_paths(kinds.select(lambda group, kind: kind in paths.KINDS), tree),
        duplicates.check_duplicates(providers_by_object),
        unused.check_unused(providers_by_object, resource_groups, active_namespaces),
    )
    return [
        *_check_references(resources, active_namespaces, allowed_patterns),
        *findings,
        *(finding for finding in chain(*more_findings) if not _is_finding_allowed(finding, allowed_patterns)),
    ]


def _check_references(
    resources: Sequence[Resource], active_namespaces: set[str], allowed_patterns: Sequence[str]
) -> Iterable[Finding]:
    """Checks the references of all resources; the findings of several overlays on one field count once."""
    references = [reference for resource in resources for reference in consumers.find_references(resource)]
    if not references:
        return ()
    index = _build_index(resources)
    has_flux_installer = any(resource.ref.kind in FLUX_INSTALLERS for resource in resources)
    has_bootstrap_file = any(resource.origin.file.endswith(cluster_objects.BOOTSTRAP_FILE) for resource in resources)
    findings: dict[tuple[str, str, FieldPath, str], Finding] = {}
    for reference in references:
        if has_flux_installer and reference.name == "flux-system":
            continue
        names = (reference.kind, reference.namespace, reference.name)
        if cluster_objects.is_created_outside(*names, has_bootstrap_file=has_bootstrap_file):
            continue
        finding = _check_reference(reference, index, active_namespaces, allowed_patterns)
        if finding:
            key = (finding.location.file, finding.rule, reference.path, finding.message)
            findings.setdefault(key, finding)
    return findings.values()


def _build_index(resources: Sequence[Resource]) -> ProviderIndex:
    """Indexes the provided objects: the namespaces and keys by kind and name."""
    index: dict[tuple[str, str], list[tuple[str, ProvidedKeys]]] = {}
    for resource in resources:
        for provided in providers.find_provided(resource):
            index.setdefault((provided.kind, provided.name), []).append((provided.namespace, provided.keys))
    return index


def _find_active_namespaces(resources: Sequence[Resource]) -> set[str]:
    """Finds namespaces with external charts or operators, which may create Secrets and ConfigMaps."""
    return {
        namespace
        for resource in resources
        if resource.ref.group not in PASSIVE_GROUPS
        for namespace in (resource.ref.namespace, *_list_target_namespaces(resource))
    }


def _list_target_namespaces(resource: Resource) -> Iterator[str]:
    spec = resource.value.get("spec") if resource.ref.kind in ("HelmRelease", "Application") else None
    if isinstance(spec, dict):
        for target in (get_field(spec, ("targetNamespace",)), get_field(spec, ("destination", "namespace"))):
            if isinstance(target, str):
                yield target


def _check_reference(
    reference: Reference, index: ProviderIndex, active_namespaces: set[str], allowed_patterns: Sequence[str]
) -> Finding | None:
    if _is_allowed(reference, allowed_patterns):
        return None
    provided = _find_provided_keys(reference, index)
    where = f" in namespace {reference.namespace}" if reference.namespace else ""
    if provided:
        known_keys = [keys for keys in provided if keys is not None]
        has_key = len(known_keys) < len(provided) or any(reference.key in keys for keys in known_keys)
        if not reference.key or has_key:
            return None
        message = f"{reference.kind} {reference.name}{where} has no key `{reference.key}`"
        hint = f"correct the key, or add it to the {reference.kind}"
        return _build_reference_finding(reference, "references/key", message, hint)
    is_created_by_others = reference.kind in ("Secret", "ConfigMap", "Service", *consumers.POD_SPEC_PATHS)
    if is_created_by_others and (reference.namespace in active_namespaces or not reference.namespace):
        return None
    message = f"{reference.kind} {reference.name}{where} is referenced, but nothing in the repository provides it"
    pattern = f"{reference.kind}/{reference.namespace or '*'}/{reference.name}"
    hint = f"add it, correct the name, or list `{pattern}` under `references.allow`"
    severity: Severity = "warning" if reference.is_usually_manual else "error"
    return _build_reference_finding(reference, "references/missing", message, hint, severity)


def _find_provided_keys(reference: Reference, index: ProviderIndex) -> list[ProvidedKeys]:
    """Finds the keys of each object that a reference may mean.

    A namespace that no file states is set when the file is applied, so it matches any namespace.
    """
    return [
        keys
        for namespace, keys in index.get((reference.kind, reference.name), ())
        if not reference.namespace or not namespace or namespace == reference.namespace
    ]


def _is_allowed(reference: Reference, allowed_patterns: Sequence[str]) -> bool:
    name = f"{reference.kind}/{reference.namespace}/{reference.name}"
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed_patterns)


def _is_finding_allowed(finding: Finding, allowed_patterns: Sequence[str]) -> bool:
    ref = finding.resource_ref
    name = f"{ref.kind}/{ref.namespace}/{ref.name}" if ref else ""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed_patterns)


def _build_reference_finding(
    reference: Reference, rule: str, message: str, hint: str, severity: Severity = "error"
) -> Finding:
    return reference.resource.build_finding(rule, message, reference.path, hint=hint, severity=severity)


def _find_cycles(resources: Sequence[Resource]) -> list[Finding]:
    """Finds Flux resources that depend on each other in a cycle, so that they are never applied."""
    dependencies: dict[ObjectKey, list[Reference]] = {}
    for resource in resources:
        if resource.ref.group in FLUX_GROUPS:
            dependencies[resource.ref.kind, resource.ref.namespace, resource.ref.name] = [
                reference
                for reference in consumers.find_references(resource)
                if reference.path[:2] == ("spec", "dependsOn")
            ]
    findings = []
    for start, references in sorted(dependencies.items()):
        for reference in references:
            path = _find_path(dependencies, _get_key(reference), start)
            # Each cycle is reported once: at its first resource by name.
            if path is not None and min(path) == start:
                names = " → ".join(name for _, _, name in (start, *path))
                hint = "remove one `dependsOn` from the cycle"
                message = f"dependency cycle: {names}"
                findings.append(_build_reference_finding(reference, "references/circle", message, hint))
    return findings


def _get_key(reference: Reference) -> ObjectKey:
    return reference.kind, reference.namespace, reference.name


def _find_path(
    dependencies: Mapping[ObjectKey, Sequence[Reference]], start: ObjectKey, end: ObjectKey
) -> list[ObjectKey] | None:
    """Finds the shortest path of dependencies from one resource to another, both included."""
    previous_keys: dict[ObjectKey, ObjectKey | None] = {start: None}
    queue = [start]
    for key in queue:
        if key == end:
            path = [key]
            while (previous := previous_keys[path[-1]]) is not None:
                path.append(previous)
            return path[::-1]
        for reference in dependencies.get(key, ()):
            following = _get_key(reference)
            if following not in previous_keys:
                previous_keys[following] = key
                queue.append(following)
    return None
