"""What is provided twice in one cluster, and what is provided and never used.

A repository may hold many clusters, each with things of the same name. What one cluster gets is what is built from one
place that nothing else applies: the root of a Flux tree, an overlay, a folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from gatekeeper.engines.references import providers as references_providers
from gatekeeper.model import Finding, Resource, at

Parts = Sequence[tuple[str, Sequence[Resource]]]
# Things that several files bring on purpose, and that nobody minds.
SHARED = {"Namespace", "CustomResourceDefinition", "Kustomization", "HelmRepository", "GitRepository", "OCIRepository"}
# Secrets and ConfigMaps that somebody finds by their labels or type, not by name.
FOUND_BY_TYPE = ("kubernetes.io/service-account-token", "helm.sh/", "bootstrap.kubernetes.io/token")
USUAL_LABELS = ("app.kubernetes.io/", "helm.sh/", "kustomize.toolkit.fluxcd.io/")
# Names in any text: in arguments, URLs and scripts too.
WORD = re.compile(rb"[A-Za-z0-9][A-Za-z0-9.-]*")


class Provider(NamedTuple):
    """Who provides something, and in which clusters."""

    resource: Resource
    clusters: frozenset[str]


def judge(parts: Parts, makers: Iterable[str]) -> Iterator[Finding]:
    """What is there twice, and what nothing uses.

    Args:
        makers: namespaces in which something works that may use what no file names.
    """
    homes = clusters(parts)
    known: dict[tuple[str, str, str], list[Provider]] = {}
    for (_, lot), home in zip(parts, homes, strict=True):
        for resource in lot:
            for provided in references_providers.of(resource):
                if provided.kind not in SHARED and provided.name and "${" not in provided.name:
                    key = (provided.kind, provided.namespace, provided.name)
                    known.setdefault(key, []).append(Provider(resource, home))
    for (kind, namespace, name), providers in known.items():
        yield from _twice(f"{kind} {namespace}{namespace and '/'}{name}", providers)
    yield from _unused(known, parts, set(makers))


def _twice(what: str, providers: Sequence[Provider]) -> Iterator[Finding]:
    """The later ones of those that would overwrite each other."""
    first: list[Provider] = []
    for one in providers:
        other = next((before for before in first if _clash(before, one)), None)
        if other is None:
            first.append(one)
            continue
        resource, place = one.resource, other.resource.origin.place(("metadata", "name"))
        where = f"{place.file}:{place.line}" if place.line else place.file
        message = f"{what} is provided twice: here by {resource.ref.kind}, and by {other.resource.ref.kind} in {where}"
        path = ("metadata", "name")
        hint = "keep one of them; each would overwrite the other"
        yield Finding(
            "references/twice", "error", message, resource.origin.place(path), resource.ref, path, hint, "field"
        )


def _clash(one: Provider, other: Provider) -> bool:
    """Whether two provide the same to the same cluster in different ways."""
    left, right = one.resource, other.resource
    if left.json == right.json or not one.clusters & other.clusters:
        return False
    return left.ref.kind != right.ref.kind or left.origin.file != right.origin.file


def clusters(parts: Parts) -> list[frozenset[str]]:
    """For each part the places that nothing applies and from which it comes into a cluster."""
    folders: dict[str, list[int]] = {}
    for number, (where, _) in enumerate(parts):
        folders.setdefault(_folder(where), []).append(number)
    above: list[set[int]] = [set() for _ in parts]
    for number, (_, lot) in enumerate(parts):
        for path in _applied(lot):
            for folder, numbers in folders.items():
                if folder == path or folder.startswith(f"{path}/"):
                    for below in numbers:
                        above[below] |= {number} - {below}
    homes: list[frozenset[str]] = []
    for number, (where, _) in enumerate(parts):
        seen, waiting = {number}, [number]
        while waiting:
            for upper in above[waiting.pop()] - seen:
                seen.add(upper)
                waiting.append(upper)
        roots = {_folder(parts[one][0]) for one in seen if not above[one]}
        homes.append(frozenset(roots or {_folder(where)}))
    return homes


def _folder(where: str) -> str:
    """A part's folder: where a file is named, the folder around it."""
    return where.rpartition("/")[0] if where.endswith((".yaml", ".yml", ".json")) else where


def _applied(lot: Iterable[Resource]) -> Iterator[str]:
    for resource in lot:
        paths = []
        if resource.ref.kind == "Kustomization" and resource.ref.group == "kustomize.toolkit.fluxcd.io":
            paths = [at(resource.value, ("spec", "path"))]
        elif resource.ref.kind == "Application" and resource.ref.group == "argoproj.io":
            paths = [at(resource.value, ("spec", "source", "path"))]
        for path in paths:
            clean = path.strip("./") if isinstance(path, str) else ""
            if clean:
                yield clean


def _unused(
    known: Mapping[tuple[str, str, str], Sequence[Provider]], parts: Parts, makers: set[str]
) -> Iterator[Finding]:
    """Secrets and ConfigMaps whose name stands nowhere else."""
    waiting: dict[bytes, list[tuple[str, Resource]]] = {}
    for (kind, namespace, name), providers in known.items():
        if kind in ("Secret", "ConfigMap") and namespace and namespace not in makers:
            resource = providers[0].resource
            if not _is_found_otherwise(resource):
                waiting.setdefault(name.encode(), []).append((kind, resource))
    if not waiting:
        return
    makes = {id(resource) for pairs in waiting.values() for _, resource in pairs}
    for _, lot in parts:
        for resource in lot:
            if id(resource) not in makes:
                for word in waiting.keys() & set(WORD.findall(resource.json)):
                    del waiting[word]
    for pairs in waiting.values():
        for kind, resource in pairs:
            what = f"{kind} {resource.ref.namespace}/{resource.ref.name}"
            message = f"{what} is provided, and nothing in the repository names it"
            hint = "remove it, or list it under `references.allow` if something outside uses it"
            path = ("metadata", "name")
            place = resource.origin.place(path)
            yield Finding("references/unused", "warning", message, place, resource.ref, path, hint, "field")


def _is_found_otherwise(resource: Resource) -> bool:
    value = resource.value
    labels, kind = at(value, ("metadata", "labels")), at(value, ("type",))
    telling = [key for key in labels if not str(key).startswith(USUAL_LABELS)] if isinstance(labels, dict) else []
    return (
        bool([key for key in telling if key not in ("app", "name", "team", "owner")])
        or bool(at(value, ("metadata", "annotations")))
        or (isinstance(kind, str) and kind.startswith(FOUND_BY_TYPE))
        or resource.ref.kind in ("Ingress", "Certificate", "ClusterExternalSecret")
    )
