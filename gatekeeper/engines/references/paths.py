"""Paths of Flux Kustomizations, HelmReleases and Argo CD Applications that do not exist in the repository.

No file says which source is this repository. A source counts as this repository if any path that refers to it exists
here; the paths of other sources are not checked.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

from gatekeeper.model import FieldPath, Finding, Resource, get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render.appliers import DIRECTORY, detect_source_type
from gatekeeper.workspace.tree import Tree

# The kinds that the check looks at.
KINDS = ("Kustomization", "HelmRelease", "Application")


class PathReference(NamedTuple):
    """A path in a field of a resource, and the source whose root it is relative to."""

    resource: Resource
    field_path: FieldPath
    path: str
    source: tuple[str, ...]


def check_paths(resources: Sequence[Resource], tree: Tree) -> Iterator[Finding]:
    """Yields a finding for each path that does not exist, although others of the same source do."""
    references = [
        reference
        for resource in resources
        for reference in _find_path_references(resource)
        if "${" not in reference.path
    ]
    if not references:
        return
    folders = _list_folders(tree)
    found = [_find_folder(reference, folders, tree) for reference in references]
    own_sources = {
        reference.source
        for reference, folder in zip(references, found, strict=True)
        if _normalize(reference.path) and folder is not None
    }
    for reference, folder in zip(references, found, strict=True):
        if folder is not None:
            yield from _check_links(reference, folder, tree)
        elif reference.source in own_sources:
            message = f"`{reference.path}` is not a folder of the repository, but other paths of the same source are"
            hint = "correct the path"
            yield reference.resource.build_finding("references/path", message, reference.field_path, hint=hint)


def _check_links(reference: PathReference, folder: str, tree: Tree) -> Iterator[Finding]:
    """Yields a finding for a path through symbolic links that its controller does not follow.

    Sources: source-controller `Storage.Archive` leaves links out; argo-cd `reposerver` walks a folder of manifests from
    its path, which is no folder if it is a link. Helm and kustomize follow it.
    """
    real = tree.find_real_path(folder)
    if real == folder:
        return
    if reference.source[0] == "flux":
        message = f"`{reference.path}` leads through a symbolic link, which Flux leaves out of what it fetches"
    elif (tree.root / folder).is_symlink() and detect_source_type(tree, folder) == DIRECTORY:
        message = f"`{reference.path}` is a symbolic link to a folder of manifests, of which Argo CD reads none"
    else:
        return
    hint = f"name the folder itself: {real}"
    yield reference.resource.build_finding("references/path", message, reference.field_path, hint=hint)


def _list_folders(tree: Tree) -> set[str]:
    folders = {""}
    for file in tree.files:
        folder = file.rpartition("/")[0]
        while folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders


def _find_folder(reference: PathReference, folders: set[str], tree: Tree) -> str | None:
    """The folder at a path below the root, or below any folder around the file of the resource."""
    path = _normalize(reference.path)
    parents = reference.resource.origin.file.split("/")[:-1]
    for depth in range(len(parents) + 1):
        folder = "/".join([*parents[:depth], path]).strip("/")
        if folder in folders or (not folder.startswith("..") and tree.find_real_path(folder) in folders):
            return folder
    return None


def _normalize(path: str) -> str:
    clean = posixpath.normpath(path.lstrip("/") or ".")
    return "" if clean == "." else clean


def _find_path_references(resource: Resource) -> Iterator[PathReference]:
    ref = resource.ref
    if ref.kind == "Kustomization" and ref.group == "kustomize.toolkit.fluxcd.io":
        spec = resource.value.get("spec")
        yield from _read_flux_path(resource, spec, ("spec", "path"), get_field(spec, ("sourceRef",)))
    elif ref.kind == "HelmRelease" and ref.group == "helm.toolkit.fluxcd.io":
        chart = get_field(resource.value, ("spec", "chart", "spec"))
        if get_field(chart, ("sourceRef", "kind")) != "HelmRepository":
            field_path: FieldPath = ("spec", "chart", "spec", "chart")
            yield from _read_flux_path(resource, chart, field_path, get_field(chart, ("sourceRef",)))
    elif ref.kind == "Application" and ref.group == "argoproj.io":
        yield from _read_argo_paths(resource, resource.value.get("spec"))


def _read_flux_path(resource: Resource, holder: Any, field_path: FieldPath, source_ref: Any) -> Iterator[PathReference]:
    path = get_field(holder, (field_path[-1],))
    if isinstance(path, str) and get_field(source_ref, ("kind",)) == "GitRepository":
        namespace = get_field(source_ref, ("namespace",)) or resource.ref.namespace
        source = ("flux", str(namespace), str(get_field(source_ref, ("name",))))
        yield PathReference(resource, field_path, path, source)


def _read_argo_paths(resource: Resource, spec: Any) -> Iterator[PathReference]:
    listed = get_field(spec, ("sources",))
    sources: list[tuple[FieldPath, Any]] = [(("spec", "source"), get_field(spec, ("source",)))]
    sources += [(("spec", "sources", n), part) for n, part in enumerate(listed if isinstance(listed, list) else ())]
    for field_path, source in sources:
        path, url = get_field(source, ("path",)), get_field(source, ("repoURL",))
        if isinstance(path, str) and isinstance(url, str):
            key = ("argo", url.removesuffix(".git").rstrip("/"))
            yield PathReference(resource, (*field_path, "path"), path, key)
