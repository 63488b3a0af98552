"""Kustomizations of the repository, and their references to each other, to files and to remote resources."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from gatekeeper.model import Finding, Location, get_field
from gatekeeper.render.model import KustomizationFile, join_path
from gatekeeper.render.origin import list_patches
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import ParsedFile, Tree

FILE_LISTS = ("resources", "bases", "components", "crds", "configurations", "generators", "transformers", "validators")
REMOTE_PREFIXES = ("https://", "http://", "git@", "ssh://", "git::", "github.com/", "gitlab.com/", "bitbucket.org/")


def find_kustomizations(tree: Tree, parsed_files: Sequence[ParsedFile]) -> dict[str, KustomizationFile]:
    """All kustomizations, by folder."""
    kustomizations: dict[str, KustomizationFile] = {}
    for source in parsed_files:
        name = source.file.rpartition("/")[2]
        if (
            name in documents.KUSTOMIZATION_NAMES
            and source.role == "documents"
            and source.documents
            and not source.error_location
        ):
            value = documents.to_value(source.documents[0])
            if isinstance(value, dict) and "spec" not in value:
                kustomizations[source.folder] = _parse_kustomization(tree, source, value)
    return kustomizations


def parse_outside_files(
    tree: Tree, parsed_files: Sequence[ParsedFile]
) -> tuple[list[ParsedFile], dict[str, KustomizationFile]]:
    """The files outside of the tree, but in the repository, that kustomizations of the tree build on; and all
    kustomizations, by folder.
    """
    have = {source.file for source in parsed_files}
    more: list[ParsedFile] = []
    kustomizations: dict[str, KustomizationFile] = {}
    new = list(parsed_files)
    while new:
        found = find_kustomizations(tree, new)
        kustomizations.update(found)
        named = [
            path for part in found.values() for path in (*part.files, *_list_kustomization_files(tree, part.folders))
        ]
        missing = [file for file in dict.fromkeys(named) if file not in have and tree.is_file(file)]
        have.update(missing)
        new, _ = documents.parse_tree(Tree(tree.root, missing), 1)
        more.extend(new)
    return more, kustomizations


def _list_kustomization_files(tree: Tree, folders: Sequence[str]) -> list[str]:
    """The possible kustomization files of some folders."""
    return [f"{folder}/{name}".lstrip("/") for folder in folders for name in documents.KUSTOMIZATION_NAMES]


def _parse_kustomization(tree: Tree, parsed_file: ParsedFile, value: dict[str, Any]) -> KustomizationFile:
    folders, files, remote, outside, linked = (list[str]() for _ in range(5))
    for name in _list_references(value):
        local = join_path(parsed_file.folder, name)
        if name.startswith(REMOTE_PREFIXES) or "?ref=" in name:
            remote.append(name)
            continue
        real = None if name.startswith("/") or local.startswith("..") else tree.find_real_path(local)
        if real is None:
            outside.append(name)
            continue
        (folders if tree.is_folder(real) else files).append(real)
        if real != local or real in tree.links:
            linked.append(name)
    is_component = value.get("kind") == "Component"
    listed = [*list_entries(value, "helmCharts"), *list_entries(value, "helmChartInflationGenerator")]
    home = get_field(value, ("helmGlobals", "chartHome")) or "charts"
    folders_of = [
        (get_field(chart, ("name",)), _find_chart(tree, parsed_file.folder, str(home), chart)) for chart in listed
    ]
    inflates = tuple(folder for _, folder in folders_of if folder is not None)
    fetches = tuple(str(name) for name, folder in folders_of if folder is None)
    lists = (tuple(folders), tuple(files), tuple(remote), tuple(outside), tuple(linked))
    return KustomizationFile(parsed_file, is_component, *lists, inflates, fetches)


def _find_chart(tree: Tree, folder: str, chart_home: str, chart: Any) -> str | None:
    """The folder of a chart, where kustomize looks for it before it fetches (HelmChartInflationGenerator)."""
    name, version = get_field(chart, ("name",)), get_field(chart, ("version",))
    below = join_path(folder, str(get_field(chart, ("chartHome",)) or chart_home))
    places = (f"{below}/{name}".lstrip("/"), f"{below}/{name}-{version}/{name}".lstrip("/"))
    here = (tree.find_real_path(place) for place in places if tree.is_file(f"{place}/Chart.yaml"))
    return None if below.startswith("..") else next(here, None)


def _list_references(value: dict[str, Any]) -> Iterator[str]:
    """Every path or URL that a kustomization names."""
    for word in FILE_LISTS:
        yield from (entry for entry in list_entries(value, word) if isinstance(entry, str) and "\n" not in entry)
    yield from (entry for _, entry in list_patches(value) if isinstance(entry, str) and "\n" not in entry)
    for entry in list_entries(value, "replacements"):
        if isinstance(get_field(entry, ("path",)), str):
            yield entry["path"]
    if isinstance(get_field(value, ("openapi", "path")), str):
        yield value["openapi"]["path"]
    for entry in list_entries(value, "helmCharts"):
        values_files = (get_field(entry, ("valuesFile",)), *list_entries(entry, "additionalValuesFiles"))
        yield from (file for file in values_files if isinstance(file, str))
    for word in ("configMapGenerator", "secretGenerator"):
        for entry in list_entries(value, word):
            for key in ("files", "envs"):
                for item in list_entries(entry, key):
                    yield str(item).rpartition("=")[2]
            if isinstance(get_field(entry, ("env",)), str):
                yield entry["env"]


def list_entries(value: Any, field_name: str) -> list[Any]:
    """A list in a field of a mapping; empty if the field is not a list."""
    entries = value.get(field_name) if isinstance(value, dict) else None
    return entries if isinstance(entries, list) else []


def list_reachable(kustomizations: Mapping[str, KustomizationFile], folder: str) -> list[KustomizationFile]:
    """A kustomization and everything that it builds on, each once."""
    seen: dict[str, KustomizationFile] = {}
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        if here in kustomizations and here not in seen:
            seen[here] = kustomizations[here]
            waiting.extend(kustomizations[here].folders)
    return list(seen.values())


def find_reference(parsed_file: ParsedFile, name: str) -> Location:
    """The location of a path that a kustomization names."""
    value = documents.to_value(parsed_file.documents[0])
    for word in FILE_LISTS:
        if name in list_entries(value, word):
            _, line, column = parsed_file.documents[0].locate((word, value[word].index(name)))
            return Location(parsed_file.file, line, column)
    for path, entry in list_patches(value):
        if entry == name:
            _, line, column = parsed_file.documents[0].locate(path)
            return Location(parsed_file.file, line, column)
    return Location(parsed_file.file, 1)


def find_links(
    kustomizations: Mapping[str, KustomizationFile], links: Collection[str], folder: str
) -> Iterator[Finding]:
    """Yields a finding for each symbolic link that a kustomization builds on: Flux builds without it.

    Args:
        links: the files of the tree that are symbolic links.

    Source: source-controller `Storage.Archive` leaves everything out that is neither a file nor a folder.
    """
    hint = "name the file or folder itself, or put a copy in place of the link"
    for part in list_reachable(kustomizations, folder):
        own_file = part.parsed_file.file
        places = {name: find_reference(part.parsed_file, name) for name in part.linked_paths}
        if own_file in links:
            places = {own_file: Location(own_file), **places}
        for name, place in places.items():
            message = f"`{name}` is or leads through a symbolic link, which Flux leaves out of what it fetches"
            yield Finding("render/kustomize", "error", message, place, hint=hint)
