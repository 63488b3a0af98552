"""Kustomizations of the repository, and their references to each other, to files and to remote resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gatekeeper.model import get_field
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


def parse_outside_files(tree: Tree, parsed_files: Sequence[ParsedFile]) -> list[ParsedFile]:
    """Parses files outside of the tree, but in the repository, that kustomizations of the tree build on."""
    have = {source.file for source in parsed_files}
    more: list[ParsedFile] = []
    new = list(parsed_files)
    while new:
        named = [
            path
            for part in find_kustomizations(tree, new).values()
            for path in (*part.files, *_list_kustomization_files(tree, part.folders))
        ]
        missing = [file for file in dict.fromkeys(named) if file not in have and (tree.root / file).is_file()]
        have.update(missing)
        new, _ = documents.parse_tree(Tree(tree.root, missing), 1)
        more.extend(new)
    return more


def _list_kustomization_files(tree: Tree, folders: Sequence[str]) -> list[str]:
    """The possible kustomization files of some folders."""
    return [f"{folder}/{name}".lstrip("/") for folder in folders for name in documents.KUSTOMIZATION_NAMES]


def _parse_kustomization(tree: Tree, parsed_file: ParsedFile, value: dict[str, Any]) -> KustomizationFile:
    folders, files, remote, outside = list[str](), list[str](), list[str](), list[str]()
    for name in _list_references(value):
        local = join_path(parsed_file.folder, name)
        if name.startswith(REMOTE_PREFIXES) or "?ref=" in name:
            remote.append(name)
        elif name.startswith("/") or local.startswith("..") or _is_outside_repository(tree, local):
            outside.append(name)
        elif (tree.root / local).is_dir():
            folders.append(local)
        else:
            files.append(local)
    is_component = value.get("kind") == "Component"
    listed = [*list_entries(value, "helmCharts"), *list_entries(value, "helmChartInflationGenerator")]
    home = get_field(value, ("helmGlobals", "chartHome")) or "charts"
    folders_of = [
        (get_field(chart, ("name",)), _find_chart(tree, parsed_file.folder, str(home), chart)) for chart in listed
    ]
    inflates = tuple(folder for _, folder in folders_of if folder is not None)
    fetches = tuple(str(name) for name, folder in folders_of if folder is None)
    lists = (tuple(folders), tuple(files), tuple(remote), tuple(outside))
    return KustomizationFile(parsed_file, is_component, *lists, inflates, fetches)


def _find_chart(tree: Tree, folder: str, chart_home: str, chart: Any) -> str | None:
    """The folder of a chart, where kustomize looks for it before it fetches (HelmChartInflationGenerator)."""
    name, version = get_field(chart, ("name",)), get_field(chart, ("version",))
    below = join_path(folder, str(get_field(chart, ("chartHome",)) or chart_home))
    places = (f"{below}/{name}", f"{below}/{name}-{version}/{name}")
    here = (place for place in places if (tree.root / place / "Chart.yaml").is_file())
    return None if below.startswith("..") else next(here, None)


def _is_outside_repository(tree: Tree, path: str) -> bool:
    """Whether a symbolic link in the path leads out of the repository; kustomize would follow it."""
    return not (tree.root / path).resolve().is_relative_to(tree.root.resolve())


def _list_references(value: dict[str, Any]) -> Iterator[str]:
    """Every path or URL that a kustomization names."""
    for word in FILE_LISTS:
        yield from (entry for entry in list_entries(value, word) if isinstance(entry, str) and "\n" not in entry)
    yield from (entry for _, entry in list_patches(value) if isinstance(entry, str) and "\n" not in entry)
    for entry in list_entries(value, "replacements"):
        if isinstance(get_field(entry, ("path",)), str):
            yield entry["path"]
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
