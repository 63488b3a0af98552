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
from gatekeeper.engines.references.consumers import Need
from gatekeeper.engines.references.duplicates import Parts
from gatekeeper.engines.references.providers import Keys
from gatekeeper.model import FieldPath, Finding, Gap, Resource, Severity, at
from gatekeeper.workspace.tree import Tree

# Made in every namespace by Kubernetes or a mesh; or by `flux bootstrap`, which alone knows the credential.
ALWAYS_THERE = {
    ("ConfigMap", "kube-root-ca.crt"), ("ConfigMap", "istio-ca-root-cert"), ("Secret", "flux-system"),
}  # fmt: skip
# These install what the repository does not show: charts from elsewhere, and whole Flux installations.
FLUX_INSTALLERS = {"FluxInstance"}
# Groups whose resources make no Secret or ConfigMap for others to name.
QUIET_GROUPS = {
    "", "apps", "batch", "autoscaling", "policy", "networking.k8s.io", "rbac.authorization.k8s.io", "storage.k8s.io",
    "apiextensions.k8s.io", "admissionregistration.k8s.io", "scheduling.k8s.io", "bitnami.com", "external-secrets.io",
    "cert-manager.io", "gateway.networking.k8s.io", "monitoring.coreos.com", "source.toolkit.fluxcd.io",
    "kustomize.toolkit.fluxcd.io", "image.toolkit.fluxcd.io", "notification.toolkit.fluxcd.io",
}  # fmt: skip

Index = Mapping[tuple[str, str], Sequence[tuple[str, Keys]]]


class Edge(NamedTuple):
    """One reference, and whether something in the repository provides what it names."""

    need: Need
    is_provided: bool


def edges(resources: Sequence[Resource]) -> list[Edge]:
    """All references, each once, in the order of what names."""
    index = _index(resources)
    found: dict[tuple[str, str, str, str, str], Edge] = {}
    for resource in sorted(resources, key=lambda resource: str(resource.ref)):
        for need in consumers.of(resource):
            key = (str(resource.ref), need.kind, need.namespace, need.name, need.key)
            found.setdefault(key, Edge(need, bool(_there(need, index))))
    return list(found.values())


def judge(parts: Parts, tree: Tree, allow: Sequence[str], gaps: Sequence[Gap]) -> list[Finding]:
    """What is named and not there, or there twice, or not to be reached; and circles of `dependsOn`.

    Args:
        parts: the resources, each lot with the file or folder that it was rendered from.
        tree: the files; of a part of a repository nobody knows what the rest brings.
        allow: what is there though the repository does not show it: patterns as `Secret/prod/*`.
        gaps: what was not judged; where something fatal is among it, what it would bring is not known.
    """
    resources = [resource for _, lot in parts for resource in lot]
    alone = [*_circles(resources), *sealed_scope.judge(resources)]
    if not tree.is_whole or any(gap.fatal for gap in gaps):
        return alone
    index = _index(resources)
    others = _makers(resources)
    installed = any(resource.ref.kind in FLUX_INSTALLERS for resource in resources)
    findings: dict[tuple[str, str, FieldPath, str], Finding] = {}
    for resource in resources:
        for need in consumers.of(resource):
            if installed and need.name == "flux-system":
                continue
            found = _judge(need, index, others, allow)
            if found:
                findings.setdefault((found.place.file, found.rule, need.path, found.message), found)
    more = (
        store_conditions.judge(resources),
        service_selectors.judge(resources, others),
        paths.judge(resources, tree),
        duplicates.judge(parts, others),
    )
    return [*findings.values(), *alone, *(one for found in more for one in found if not _is_allowed_of(one, allow))]


def _index(resources: Sequence[Resource]) -> Index:
    """What is provided: by kind and name, the namespaces and keys."""
    index: dict[tuple[str, str], list[tuple[str, Keys]]] = {}
    for resource in resources:
        for provided in providers.of(resource):
            index.setdefault((provided.kind, provided.name), []).append((provided.namespace, provided.keys))
    return index


def _makers(resources: Sequence[Resource]) -> set[str]:
    """Namespaces in which something works that may make Secrets and ConfigMaps: charts from elsewhere, operators."""
    loud = [resource for resource in resources if resource.ref.group not in QUIET_GROUPS]
    return {namespace for resource in loud for namespace in (resource.ref.namespace, *_targets(resource))}


def _targets(resource: Resource) -> Iterator[str]:
    spec = resource.value.get("spec") if resource.ref.kind in ("HelmRelease", "Application") else None
    if isinstance(spec, dict):
        for target in (at(spec, ("targetNamespace",)), at(spec, ("destination", "namespace"))):
            if isinstance(target, str):
                yield target


def _judge(need: Need, index: Index, makers: set[str], allow: Sequence[str]) -> Finding | None:
    if (need.kind, need.name) in ALWAYS_THERE or _is_allowed(need, allow):
        return None
    there = _there(need, index)
    where = f" in namespace {need.namespace}" if need.namespace else ""
    if there:
        known = [keys for keys in there if keys is not None]
        if need.key and len(known) == len(there) and not any(need.key in keys for keys in known):
            message = f"{need.kind} {need.name}{where} has no key `{need.key}`"
            return _finding(need, "references/key", "error", message, "correct the key, or add it there")
        return None
    is_made = need.kind in ("Secret", "ConfigMap", "Service", *consumers.POD_PATHS)
    if is_made and (need.namespace in makers or not need.namespace):
        return None
    message = f"{need.kind} {need.name}{where} is named, and nothing in the repository provides it"
    hint = (
        f"add it, correct the name, or list `{need.kind}/{need.namespace or '*'}/{need.name}` under `references.allow`"
    )
    severity: Severity = "warning" if need.by_hand else "error"
    return _finding(need, "references/missing", severity, message, hint)


def _there(need: Need, index: Index) -> list[Keys]:
    """The keys of each that provides what is named.

    Where a namespace is not written, whoever applies the file decides on it: any may be meant.
    """
    return [
        keys
        for namespace, keys in index.get((need.kind, need.name), ())
        if not need.namespace or not namespace or namespace == need.namespace
    ]


def _is_allowed(need: Need, allow: Sequence[str]) -> bool:
    name = f"{need.kind}/{need.namespace}/{need.name}"
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in allow)


def _is_allowed_of(finding: Finding, allow: Sequence[str]) -> bool:
    ref = finding.resource
    name = f"{ref.kind}/{ref.namespace}/{ref.name}" if ref else ""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in allow)


def _finding(need: Need, rule: str, severity: Severity, message: str, hint: str) -> Finding:
    place = need.resource.origin.place(need.path)
    return Finding(rule, severity, message, place, need.resource.ref, need.path, hint, "field")


def _circles(resources: Sequence[Resource]) -> list[Finding]:
    """Flux resources that wait for each other in a circle: none of them is ever applied."""
    waits: dict[tuple[str, str, str], list[Need]] = {}
    for resource in resources:
        if resource.ref.group in ("kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io"):
            key = (resource.ref.kind, resource.ref.namespace, resource.ref.name)
            waits[key] = [need for need in consumers.of(resource) if need.path[:2] == ("spec", "dependsOn")]
    findings = []
    for start, wanted in sorted(waits.items()):
        for need in wanted:
            way = _way(waits, (need.kind, need.namespace, need.name), start)
            if way is not None and min(way) == start:
                names = " → ".join(name for _, _, name in (start, *way))
                message = f"waits for itself: {names}"
                hint = "take one `dependsOn` out of the circle"
                findings.append(_finding(need, "references/circle", "error", message, hint))
    return findings


def _way(
    waits: Mapping[tuple[str, str, str], Sequence[Need]], start: tuple[str, str, str], end: tuple[str, str, str]
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
        for need in waits.get(here, ()):
            following = (need.kind, need.namespace, need.name)
            if following not in before:
                before[following] = here
                queue.append(following)
    return None
