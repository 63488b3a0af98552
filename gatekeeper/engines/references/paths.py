"""Paths that Flux and Argo CD are told to apply or render, and that are not in the repository.

Which source is this repository, no file says. One that leads somewhere here by any of its paths is taken for it; of the
others nothing is said.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gatekeeper.model import FieldPath, Finding, Resource, get_field
from gatekeeper.workspace.tree import Tree


class PathReference(NamedTuple):
    """A path as a resource names it, and the source that it counts from."""

    resource: Resource
    field_path: FieldPath
    path: str
    source: tuple[str, ...]


def check_paths(resources: Sequence[Resource], tree: Tree) -> Iterator[Finding]:
    """Paths that lead nowhere, though others from the same source do."""
    named = [one for resource in resources for one in _find_path_references(resource) if "${" not in one.path]
    if not named:
        return
    folders = {""}
    for file in tree.files:
        folder = file.rpartition("/")[0]
        while folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    own = {one.source for one in named if _normalize(one.path) and _is_resolvable(one, folders)}
    for one in named:
        if one.source in own and not _is_resolvable(one, folders):
            message = f"`{one.path}` is no folder of this repository, which other paths of the same source lead to"
            place = one.resource.origin.find_location(one.field_path)
            yield Finding(
                "references/path",
                "error",
                message,
                place,
                one.resource.ref,
                one.field_path,
                "correct the path",
                "field",
            )


def _is_resolvable(reference: PathReference, folders: set[str]) -> bool:
    """Whether a path is there, from the root or from any folder around the resource's own file."""
    path = _normalize(reference.path)
    above = reference.resource.origin.file.split("/")[:-1]
    return any("/".join([*above[:depth], path]).strip("/") in folders for depth in range(len(above) + 1))


def _normalize(path: str) -> str:
    clean = posixpath.normpath(path.lstrip("/") or ".")
    return "" if clean == "." else clean


def _find_path_references(resource: Resource) -> Iterator[PathReference]:
    ref = resource.ref
    if ref.kind == "Kustomization" and ref.group == "kustomize.toolkit.fluxcd.io":
        spec = resource.value.get("spec")
        yield from _read_path_reference(
            resource, spec, ("spec", "path"), get_field(spec, ("sourceRef",)), ref.namespace
        )
    elif ref.kind == "HelmRelease" and ref.group == "helm.toolkit.fluxcd.io":
        chart = get_field(resource.value, ("spec", "chart", "spec"))
        if get_field(chart, ("sourceRef", "kind")) != "HelmRepository":
            yield from _read_path_reference(
                resource, chart, ("spec", "chart", "spec", "chart"), get_field(chart, ("sourceRef",)), ref.namespace
            )
    elif ref.kind == "Application" and ref.group == "argoproj.io":
        spec = resource.value.get("spec")
        listed = get_field(spec, ("sources",))
        places: list[tuple[FieldPath, Any]] = [(("spec", "source"), get_field(spec, ("source",)))]
        places += [(("spec", "sources", n), part) for n, part in enumerate(listed if isinstance(listed, list) else ())]
        for where, part in places:
            path, url = get_field(part, ("path",)), get_field(part, ("repoURL",))
            if isinstance(path, str) and isinstance(url, str):
                yield PathReference(resource, (*where, "path"), path, ("argo", url.removesuffix(".git").rstrip("/")))


def _read_path_reference(
    resource: Resource, holder: Any, field_path: FieldPath, source_ref: Any, namespace: str
) -> Iterator[PathReference]:
    path = get_field(holder, (field_path[-1],))
    if isinstance(path, str) and get_field(source_ref, ("kind",)) == "GitRepository":
        home = get_field(source_ref, ("namespace",)) or namespace
        yield PathReference(resource, field_path, path, ("flux", str(home), str(get_field(source_ref, ("name",)))))
