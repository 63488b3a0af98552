"""The references engine: whatever a resource names is there, with the key that it asks for; nothing waits for itself.

The repository is not the whole cluster. Where something else may bring what is named (a chart from elsewhere, an
operator, a person with a first credential), nothing is said, or only a warning.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gatekeeper.engines.references import (
    consumers,
    duplicates,
    paths,
    providers,
    sealed_scope,
    service_selectors,
    store_conditions,
)
from gatekeeper.engines.references.consumers import Reference
from gatekeeper.engines.references.duplicates import ResourceGroups
from gatekeeper.engines.references.providers import ProvidedKeys
from gatekeeper.model import FieldPath, Finding, Gap, Resource, Severity, get_field
from gatekeeper.workspace.tree import Tree

# Made in every namespace by Kubernetes or a mesh; or by `flux bootstrap`, which alone knows the credential.
ALWAYS_PRESENT = {
    ("ConfigMap", "kube-root-ca.crt"),
    ("ConfigMap", "istio-ca-root-cert"),
    ("Secret", "flux-system"),
}
# These install what the repository does not show: charts from elsewhere, and whole Flux installations.
FLUX_INSTALLERS = {"FluxInstance"}
# Groups whose resources make no Secret or ConfigMap for others to name.
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
    """One reference, and whether something in the repository provides what it names."""

    reference: Reference
    is_provided: bool


def list_edges(resources: Sequence[Resource]) -> list[ReferenceEdge]:
    """All references, each once, in the order of what names."""
    index = _build_index(resources)
    found: dict[tuple[str, str, str, str, str], ReferenceEdge] = {}
    for resource in sorted(resources, key=lambda resource: str(resource.ref)):
        for need in consumers.find_references(resource):
            key = (str(resource.ref), need.kind, need.namespace, need.name, need.key)
            found.setdefault(key, ReferenceEdge(need, bool(_find_provided_keys(need, index))))
    return list(found.values())


def evaluate(
    resource_groups: ResourceGroups, tree: Tree, allowed_patterns: Sequence[str], gaps: Sequence[Gap]
) -> list[Finding]:
    """What is named and not there, or there twice, or not to be reached; and circles of `dependsOn`.

    Args:
        resource_groups: the resources, each lot with the file or folder that it was rendered from.
        tree: the files; of a part of a repository nobody knows what the rest brings.
        allowed_patterns: what is there though the repository does not show it: patterns as `Secret/prod/*`.
        gaps: what was not judged; where something fatal is among it, what it would bring is not known.
    """
    resources = [resource for _, lot in resource_groups for resource in lot]
    alone = [*_find_cycles(resources), *sealed_scope.check_sealed_scope(resources)]
    if not tree.is_whole or any(gap.is_fatal for gap in gaps):
        return alone
    index = _build_index(resources)
    others = _find_active_namespaces(resources)
    installed = any(resource.ref.kind in FLUX_INSTALLERS for resource in resources)
    findings: dict[tuple[str, str, FieldPath, str], Finding] = {}
    for resource in resources:
        for need in consumers.find_references(resource):
            if installed and need.name == "flux-system":
                continue
            found = _check_reference(need, index, others, allowed_patterns)
            if found:
                findings.setdefault((found.location.file, found.rule, need.path, found.message), found)
    more = (
        store_conditions.check_store_conditions(resources),
        service_selectors.check_service_selectors(resources, others),
        paths.check_paths(resources, tree),
        duplicates.check_duplicates_and_unused(resource_groups, others),
    )
    return [
        *findings.values(),
        *alone,
        *(one for found in more for one in found if not _is_finding_allowed(one, allowed_patterns)),
    ]


def _build_index(resources: Sequence[Resource]) -> ProviderIndex:
    """What is provided: by kind and name, the namespaces and keys."""
    index: dict[tuple[str, str], list[tuple[str, ProvidedKeys]]] = {}
    for resource in resources:
        for provided in providers.find_provided(resource):
            index.setdefault((provided.kind, provided.name), []).append((provided.namespace, provided.keys))
    return index


def _find_active_namespaces(resources: Sequence[Resource]) -> set[str]:
    """Namespaces in which something works that may make Secrets and ConfigMaps: charts from elsewhere, operators."""
    loud = [resource for resource in resources if resource.ref.group not in PASSIVE_GROUPS]
    return {
        namespace for resource in loud for namespace in (resource.ref.namespace, *_list_target_namespaces(resource))
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
    if (reference.kind, reference.name) in ALWAYS_PRESENT or _is_allowed(reference, allowed_patterns):
        return None
    there = _find_provided_keys(reference, index)
    where = f" in namespace {reference.namespace}" if reference.namespace else ""
    if there:
        known = [keys for keys in there if keys is not None]
        if reference.key and len(known) == len(there) and not any(reference.key in keys for keys in known):
            message = f"{reference.kind} {reference.name}{where} has no key `{reference.key}`"
            return _build_finding(reference, "references/key", "error", message, "correct the key, or add it there")
        return None
    is_made = reference.kind in ("Secret", "ConfigMap", "Service", *consumers.POD_SPEC_PATHS)
    if is_made and (reference.namespace in active_namespaces or not reference.namespace):
        return None
    message = f"{reference.kind} {reference.name}{where} is named, and nothing in the repository provides it"
    listed = f"{reference.kind}/{reference.namespace or '*'}/{reference.name}"
    hint = f"add it, correct the name, or list `{listed}` under `references.allow`"
    severity: Severity = "warning" if reference.is_usually_manual else "error"
    return _build_finding(reference, "references/missing", severity, message, hint)


def _find_provided_keys(reference: Reference, index: ProviderIndex) -> list[ProvidedKeys]:
    """The keys of each that provides what is named.

    Where a namespace is not written, whoever applies the file decides on it: any may be meant.
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


def _build_finding(reference: Reference, rule: str, severity: Severity, message: str, hint: str) -> Finding:
    place = reference.resource.origin.find_location(reference.path)
    return Finding(rule, severity, message, place, reference.resource.ref, reference.path, hint, "field")


def _find_cycles(resources: Sequence[Resource]) -> list[Finding]:
    """Flux resources that wait for each other in a circle: none of them is ever applied."""
    waits: dict[tuple[str, str, str], list[Reference]] = {}
    for resource in resources:
        if resource.ref.group in ("kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io"):
            key = (resource.ref.kind, resource.ref.namespace, resource.ref.name)
            waits[key] = [
                need for need in consumers.find_references(resource) if need.path[:2] == ("spec", "dependsOn")
            ]
    findings = []
    for start, wanted in sorted(waits.items()):
        for need in wanted:
            way = _find_path(waits, (need.kind, need.namespace, need.name), start)
            if way is not None and min(way) == start:
                names = " → ".join(name for _, _, name in (start, *way))
                message = f"waits for itself: {names}"
                hint = "take one `dependsOn` out of the circle"
                findings.append(_build_finding(need, "references/circle", "error", message, hint))
    return findings


def _find_path(
    dependencies: Mapping[tuple[str, str, str], Sequence[Reference]],
    start: tuple[str, str, str],
    end: tuple[str, str, str],
) -> list[tuple[str, str, str]] | None:
    """The shortest way of dependencies from one resource to another, both included."""
    before: dict[tuple[str, str, str], tuple[str, str, str] | None] = {start: None}
    queue = [start]
    for here in queue:
        if here == end:
            way = [here]
            while (previous := before[way[-1]]) is not None:
                way.append(previous)
            return way[::-1]
        for need in dependencies.get(here, ()):
            following = (need.kind, need.namespace, need.name)
            if following not in before:
                before[following] = here
                queue.append(following)
    return None
