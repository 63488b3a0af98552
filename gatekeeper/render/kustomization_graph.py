"""Kustomizations of the repository, and how they refer to each other, to files and to what is not here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gatekeeper.model import at
from gatekeeper.render.origin import joined, patch_entries
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import Source
from gatekeeper.workspace.tree import Tree

FILE_LISTS = ("resources", "bases", "components", "crds", "configurations", "generators", "transformers", "validators")
REMOTE = ("https://", "http://", "git@", "ssh://", "git::", "github.com/", "gitlab.com/", "bitbucket.org/")


class Kustomization(NamedTuple):
    """One kustomization: the paths it names, relative to the repository's root, and the remote ones as written.

    Attributes:
        inflates: the folders of Helm charts that it renders.
        fetches: charts that it would render, but that lie nowhere in the repository.
    """

    source: Source
    is_component: bool
    folders: tuple[str, ...]
    files: tuple[str, ...]
    remote: tuple[str, ...]
    outside: tuple[str, ...]
    inflates: tuple[str, ...]
    fetches: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Where it lies, empty for the root."""
        return self.source.folder


def find(tree: Tree, sources: Sequence[Source]) -> dict[str, Kustomization]:
    """All kustomizations, by folder."""
    found: dict[str, Kustomization] = {}
    for source in sources:
        name = source.file.rpartition("/")[2]
        if name in documents.KUSTOMIZATIONS and source.role == "documents" and source.documents and not source.broken:
            value = documents.value_of(source.documents[0])
            if isinstance(value, dict) and "spec" not in value:
                found[source.folder] = _read(tree, source, value)
    return found


def outside(tree: Tree, sources: Sequence[Source]) -> list[Source]:
    """What kustomizations of the tree build on, though it is not in the tree: other folders of the same repository."""
    have = {source.file for source in sources}
    more: list[Source] = []
    new = list(sources)
    while new:
        named = [path for part in find(tree, new).values() for path in (*part.files, *_files_in(tree, part.folders))]
        missing = [file for file in dict.fromkeys(named) if file not in have and (tree.root / file).is_file()]
        have.update(missing)
        new, _ = documents.read(Tree(tree.root, missing), 1)
        more.extend(new)
    return more


def _files_in(tree: Tree, folders: Sequence[str]) -> list[str]:
    """The kustomizations of some folders."""
    return [f"{folder}/{name}".lstrip("/") for folder in folders for name in documents.KUSTOMIZATIONS]


def _read(tree: Tree, source: Source, value: dict[str, Any]) -> Kustomization:
    folders, files, remote, outside = list[str](), list[str](), list[str](), list[str]()
    for name in _named(value):
        local = joined(source.folder, name)
        if name.startswith(REMOTE) or "?ref=" in name:
            remote.append(name)
        elif name.startswith("/") or local.startswith("..") or _leaves(tree, local):
            outside.append(name)
        elif (tree.root / local).is_dir():
            folders.append(local)
        else:
            files.append(local)
    is_component = value.get("kind") == "Component"
    listed = [*entries(value, "helmCharts"), *entries(value, "helmChartInflationGenerator")]
    home = at(value, ("helmGlobals", "chartHome")) or "charts"
    folders_of = [(at(chart, ("name",)), _chart(tree, source.folder, str(home), chart)) for chart in listed]
    inflates = tuple(folder for _, folder in folders_of if folder is not None)
    fetches = tuple(str(name) for name, folder in folders_of if folder is None)
    lists = (tuple(folders), tuple(files), tuple(remote), tuple(outside))
    return Kustomization(source, is_component, *lists, inflates, fetches)


def _chart(tree: Tree, folder: str, home: str, chart: Any) -> str | None:
    """The folder of a chart, where kustomize looks for it before it fetches (HelmChartInflationGenerator)."""
    name, version = at(chart, ("name",)), at(chart, ("version",))
    below = joined(folder, str(at(chart, ("chartHome",)) or home))
    places = (f"{below}/{name}", f"{below}/{name}-{version}/{name}")
    here = (place for place in places if (tree.root / place / "Chart.yaml").is_file())
    return None if below.startswith("..") else next(here, None)


def _leaves(tree: Tree, local: str) -> bool:
    """Whether a link on the way leads out of the repository; kustomize would follow it."""
    return not (tree.root / local).resolve().is_relative_to(tree.root.resolve())


def _named(value: dict[str, Any]) -> Iterator[str]:
    """Every path or URL that a kustomization names."""
    for word in FILE_LISTS:
        yield from (entry for entry in entries(value, word) if isinstance(entry, str) and "\n" not in entry)
    yield from (entry for _, entry in patch_entries(value) if isinstance(entry, str) and "\n" not in entry)
    for entry in entries(value, "replacements"):
        if isinstance(at(entry, ("path",)), str):
            yield entry["path"]
    for word in ("configMapGenerator", "secretGenerator"):
        for entry in entries(value, word):
            for key in ("files", "envs"):
                for item in entries(entry, key):
                    yield str(item).rpartition("=")[2]
            if isinstance(at(entry, ("env",)), str):
                yield entry["env"]


def entries(value: Any, word: str) -> list[Any]:
    """A field of a mapping, as the list that it should be; empty where it is none."""
    found = value.get(word) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def reach(found: Mapping[str, Kustomization], folder: str) -> list[Kustomization]:
    """A kustomization and all that it builds on, each once."""
    seen: dict[str, Kustomization] = {}
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        if here in found and here not in seen:
            seen[here] = found[here]
            waiting.extend(found[here].folders)
    return list(seen.values())
