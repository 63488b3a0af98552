"""Paths that Flux and Argo CD are told to apply or render, and that are not in the repository.

Which source is this repository, no file says. One that leads somewhere here by any of its paths is taken for it; of the
others nothing is said.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gatekeeper.model import FieldPath, Finding, Resource, at
from gatekeeper.workspace.tree import Tree


class Named(NamedTuple):
    """A path as a resource names it, and the source that it counts from."""

    resource: Resource
    where: FieldPath
    path: str
    source: tuple[str, ...]


def judge(resources: Sequence[Resource], tree: Tree) -> Iterator[Finding]:
    """Paths that lead nowhere, though others from the same source do."""
    named = [one for resource in resources for one in _named(resource) if "${" not in one.path]
    if not named:
        return
    folders = {""}
    for file in tree.files:
        folder = file.rpartition("/")[0]
        while folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    own = {one.source for one in named if _clean(one.path) and _leads(one, folders)}
    for one in named:
        if one.source in own and not _leads(one, folders):
            message = f"`{one.path}` is no folder of this repository, which other paths of the same source lead to"
            place = one.resource.origin.place(one.where)
            yield Finding(
                "references/path", "error", message, place, one.resource.ref, one.where, "correct the path", "field"
            )


def _leads(one: Named, folders: set[str]) -> bool:
    """Whether a path is there, from the root or from any folder around the resource's own file."""
    path = _clean(one.path)
    above = one.resource.origin.file.split("/")[:-1]
    return any("/".join([*above[:depth], path]).strip("/") in folders for depth in range(len(above) + 1))


def _clean(path: str) -> str:
    clean = posixpath.normpath(path.lstrip("/") or ".")
    return "" if clean == "." else clean


def _named(resource: Resource) -> Iterator[Named]:
    ref = resource.ref
    if ref.kind == "Kustomization" and ref.group == "kustomize.toolkit.fluxcd.io":
        spec = resource.value.get("spec")
        yield from _one(resource, spec, ("spec", "path"), at(spec, ("sourceRef",)), ref.namespace)
    elif ref.kind == "HelmRelease" and ref.group == "helm.toolkit.fluxcd.io":
        chart = at(resource.value, ("spec", "chart", "spec"))
        if at(chart, ("sourceRef", "kind")) != "HelmRepository":
            yield from _one(
                resource, chart, ("spec", "chart", "spec", "chart"), at(chart, ("sourceRef",)), ref.namespace
            )
    elif ref.kind == "Application" and ref.group == "argoproj.io":
        spec = resource.value.get("spec")
        listed = at(spec, ("sources",))
        places: list[tuple[FieldPath, Any]] = [(("spec", "source"), at(spec, ("source",)))]
        places += [(("spec", "sources", n), part) for n, part in enumerate(listed if isinstance(listed, list) else ())]
        for where, part in places:
            path, url = at(part, ("path",)), at(part, ("repoURL",))
            if isinstance(path, str) and isinstance(url, str):
                yield Named(resource, (*where, "path"), path, ("argo", url.removesuffix(".git").rstrip("/")))


def _one(resource: Resource, holder: Any, where: FieldPath, ref: Any, namespace: str) -> Iterator[Named]:
    path = at(holder, (where[-1],))
    if isinstance(path, str) and at(ref, ("kind",)) == "GitRepository":
        home = at(ref, ("namespace",)) or namespace
        yield Named(resource, where, path, ("flux", str(home), str(at(ref, ("name",)))))
