"""What the stages of rendering hand on: kustomizations, applied folders, chart uses, build units and their results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import orjson

from gatekeeper.errors import ToolError
from gatekeeper.model import FieldPath, Finding, Gap, Location, ParsedDocument, Resource
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.sources.model import SourcePin
from gatekeeper.upstream.helm_release import ChartFiles, FluxValues
from gatekeeper.workspace.tree import ParsedFile, Tree

# The data of ConfigMaps, by namespace and name.
ConfigMapData = Mapping[tuple[str, str], Mapping[str, str]]


class AppliedFolder(NamedTuple):
    """A folder that a controller applies.

    Attributes:
        added_fields: the fields that it adds to the folder's kustomization, as JSON; empty if there are none.
        variables: the values of `${VAR}`; None if it substitutes nothing.
        applier: the Flux Kustomization or Argo CD Application.
        fields_path: the path of the fields in the applier.
    """

    folder: str
    added_fields: bytes
    variables: Mapping[str, str] | None
    applier: Resource
    fields_path: FieldPath

    @property
    def components(self) -> list[str]:
        """The components that the controller adds, relative to the folder."""
        listed = orjson.loads(self.added_fields).get("components") if self.added_fields else None
        return [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []


class BuildUnit(NamedTuple):
    """What is built as one.

    Attributes:
        folder: the folder of a kustomization, or a folder that a controller applies.
        files: the files below the folder that no kustomization names; empty for a kustomization.
    """

    folder: str
    files: tuple[str, ...] = ()


class BuildOutput(NamedTuple):
    """What a build returns: the resources, what is wrong, and what could not be built."""

    resources: list[Resource]
    findings: list[Finding]
    gaps: list[Gap]


class FetchedChart(NamedTuple):
    """A chart from elsewhere, which the lock pins.

    Attributes:
        location: the line of the repository that names it.
    """

    name: str
    pin: SourcePin
    location: Location


class ChartUse(NamedTuple):
    """One way in which the repository uses a chart: values files first, then values in a resource.

    Attributes:
        chart: the folder of the chart, or the digest of one from elsewhere.
        inline_values: the merged values of a resource, as JSON; empty if there are none.
        located_values: the locations of those values, the ones with the highest precedence first.
        fetched: the chart, if it is from elsewhere.
        api_versions: those of custom resources, `group/version` and `group/version/Kind`.
        flux: the values of a HelmRelease, which come after those of the files.
        include_crds: whether the chart's CRDs are rendered, too.
        release_object: the HelmRelease, if it changes what is rendered.
        post_rendering: how it does that, as JSON: its `postRenderers` and `commonMetadata`; empty if it does not.
    """

    chart: str
    release: str
    namespace: str
    values_files: tuple[str, ...] = ()
    inline_values: bytes = b""
    located_values: tuple[LocatedValues, ...] = ()
    include_crds: bool = False
    release_object: Resource | None = None
    post_rendering: bytes = b""
    fetched: FetchedChart | None = None
    flux: FluxValues | None = None
    api_versions: tuple[str, ...] = ()

    def with_api_versions(self, names: Iterable[str]) -> ChartUse:
        """The same use in a cluster that serves these, too."""
        return self._replace(api_versions=tuple(sorted(names)))

    @property
    def rendering_key(self) -> tuple[object, ...]:
        """What the templates are rendered from: uses with the same key render the same."""
        return (
            self.chart,
            self.release,
            self.namespace,
            self.values_files,
            self.inline_values,
            self.flux,
            self.api_versions,
        )


class ChartContent(Protocol):
    """The files of a chart."""

    @property
    def tree(self) -> Tree:
        """The tree that has the files."""

    @property
    def folder(self) -> str:
        """The folder of the chart in the tree."""

    @property
    def files(self) -> ChartFiles:
        """The files as they are rendered.

        Raises:
            ToolError: they cannot be read.
        """

    def contains(self, word: bytes) -> bool:
        """Whether a file of the chart or of its dependencies contains a word."""

    def find_faults(self) -> list[Gap]:
        """Why the chart cannot be rendered, known without Helm; empty if it may be possible."""

    def find_cluster_calls(self) -> list[Gap]:
        """The functions of its templates whose results only a cluster knows."""

    def unpack(self, folder: Path) -> None:
        """Writes the files of the chart and of its dependencies to a folder.

        Raises:
            ToolError: they cannot be read.
        """


class LocatedValues(NamedTuple):
    """Values of a chart, and where each of them is written."""

    value: Any
    find_location: Callable[[FieldPath], Location]


class KustomizationFile(NamedTuple):
    """One kustomization: the paths it names, relative to the repository's root, and the remote ones unchanged.

    Attributes:
        folders: without symbolic links, as `Tree.find_real_path` has them; `files` and `local_charts` likewise.
        linked_paths: what it names that leads through symbolic links, as it is written.
        local_charts: the folders of Helm charts that it renders.
        missing_charts: charts that it would render, but that lie nowhere in the repository.
    """

    parsed_file: ParsedFile
    is_component: bool
    folders: tuple[str, ...]
    files: tuple[str, ...]
    remotes: tuple[str, ...]
    outside_paths: tuple[str, ...]
    linked_paths: tuple[str, ...]
    local_charts: tuple[str, ...]
    missing_charts: tuple[str, ...]

    @property
    def folder(self) -> str:
        """The folder; empty for the root."""
        return self.parsed_file.folder


class FileOrigin(NamedTuple):
    """The origin of a resource in a file; `prefix` is its path inside a List."""

    file: str
    document: ParsedDocument
    prefix: FieldPath = ()

    def find_location(self, path: FieldPath, key: bool = False) -> Location:
        """See `gatekeeper.protocols.Origin`."""
        _, line, column = self.document.locate((*self.prefix, *path), key)
        return Location(self.file, line, column)


def join_path(folder: str, relative: str) -> str:
    """A path relative to the repository's root with `..` resolved; it starts with `..` if it is outside."""
    parts: list[str] = []
    # Most paths are relative, and are split faster without pathlib.
    if folder.startswith("/") or relative.startswith("/"):
        steps = [*PurePosixPath(folder).parts, *PurePosixPath(relative).parts]
    else:
        steps = f"{folder}/{relative}".split("/")
    for part in steps:
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in (".", ""):
            parts.append(part)
    return "/".join(parts)


class SecondRendering:
    """The objects of a second rendering, which is made when the first value is compared."""

    def __init__(self, render: Callable[[], Sequence[Any]]) -> None:
        self._render = render

    @cached_property
    def objects(self) -> Sequence[Any]:
        """The objects in the order of the first rendering; none where it fails the second time."""
        try:
            return self._render()
        except ToolError:
            return ()
