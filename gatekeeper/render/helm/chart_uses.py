"""Helm charts of the repository, and each set of values that the repository uses them with.

Sources: helm.toolkit.fluxcd.io/v2 `HelmRelease.spec`; argoproj.io/v1alpha1 `Application.spec.source.helm`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from gatekeeper.model import FieldPath, Gap, Resource, get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render.appliers import list_sources
from gatekeeper.render.helm import helm_values, post_render
from gatekeeper.render.model import ChartUse, ConfigMapData, LocatedValues, join_path
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import ParsedFile, Tree

EXTERNAL_CHART_REASON = "its chart is not in the repository, so the objects that it renders were not checked"
APPLICATION_SET_REASON = "its generators are not run, so the objects were checked as they are in the repository's files"
UNKNOWN_VALUES_REASON = (
    "takes values from objects that are not readable in the repository, so its chart was rendered without them"
)


class ChartSources(NamedTuple):
    """What the repository's charts are used from.

    Attributes:
        folders: the folders of charts that can be rendered on their own.
        files: the parsed files.
        config_maps: the data of ConfigMaps, by namespace and name, for `valuesFrom`.
    """

    tree: Tree
    folders: Sequence[str]
    files: Collection[str]
    config_maps: ConfigMapData

    def find_folder(self, path: Any) -> str | None:
        """The folder of the chart that a path leads to; None if it leads to none."""
        folder = self.tree.find_real_path(join_path("", path)) if isinstance(path, str) else None
        return folder if folder in self.folders else None

    def find_file(self, path: str) -> str:
        """A file without symbolic links in its path."""
        real = None if path.startswith("..") else self.tree.find_real_path(path)
        return path if real is None else real

    def has_file(self, path: str) -> bool:
        """Whether there is such a file."""
        return self.tree.is_file(path)


def find_chart_folders(parsed_files: Iterable[ParsedFile]) -> list[str]:
    """Folders of charts that can be rendered on their own: no subcharts, no library charts.

    An empty `Chart.yaml`, or one that is no mapping, counts: Helm refuses it, and its templates must not be accepted.
    """
    folders = []
    for source in parsed_files:
        is_read = source.documents or (source.role == "documents" and source.error_location is None)
        if source.file.rpartition("/")[2] == "Chart.yaml" and is_read:
            value = documents.to_value(source.documents[0]) if source.documents else None
            if get_field(value, ("type",)) != "library":
                folders.append(source.folder)
    return [
        folder for folder in folders if not any(folder.startswith(f"{other}/charts/".lstrip("/")) for other in folders)
    ]


def find_chart_uses(
    resources: Iterable[Resource], sources: ChartSources, inflated_charts: Collection[str] = ()
) -> tuple[list[ChartUse], list[Gap]]:
    """Every use of the repository's charts (an unused chart counts with its own values), and gaps for charts that are
    not in the repository.

    Args:
        inflated_charts: charts that kustomizations inflate.
    """
    uses: list[ChartUse] = []
    gaps: list[Gap] = []
    for resource in resources:
        if resource.ref.kind == "HelmRelease" and resource.ref.group == "helm.toolkit.fluxcd.io":
            uses.extend(_find_release_uses(resource, sources, gaps))
        elif resource.ref.kind == "Application" and resource.ref.group == "argoproj.io":
            uses.extend(_find_application_uses(resource, sources, gaps))
        elif resource.ref.kind == "ApplicationSet" and resource.ref.group == "argoproj.io":
            gaps.append(Gap(resource.origin.file, f"an ApplicationSet: {APPLICATION_SET_REASON}"))
    used = {use.chart for use in uses}.union(inflated_charts)
    for folder in sources.folders:
        name = PurePosixPath(folder).name or "chart"
        if folder not in used:
            uses.append(ChartUse(folder, name, "default"))
        beside = (file for file in sources.files if file.rpartition("/")[0] == folder)
        other = (file for file in beside if re.fullmatch(r"values[.-].+\.ya?ml", file.rpartition("/")[2]))
        named = {file for use in uses if use.chart == folder for file in use.values_files}
        uses.extend(ChartUse(folder, name, "default", (file,)) for file in other if file not in named)
    once: dict[tuple[object, ...], ChartUse] = {}
    for use in uses:
        once.setdefault((*use[:5], use.post_rendering), use)
    return list(once.values()), gaps


def _find_release_uses(resource: Resource, sources: ChartSources, gaps: list[Gap]) -> Iterator[ChartUse]:
    spec = resource.value.get("spec")
    folder = sources.find_folder(get_field(spec, ("chart", "spec", "chart")))
    if folder is None or get_field(spec, ("chart", "spec", "sourceRef", "kind")) == "HelmRepository":
        gaps.append(Gap(resource.origin.file, f"a HelmRelease: {EXTERNAL_CHART_REASON}"))
        return
    named = get_field(spec, ("chart", "spec", "valuesFiles")) or ()
    files = tuple(sources.find_file(join_path("", str(file))) for file in named)
    if get_field(spec, ("chart", "spec", "ignoreMissingValuesFiles")):
        files = tuple(file for file in files if sources.has_file(file))
    parts = [helm_values.read_mapping(resource, ("spec", "values"))]
    for entry in reversed(get_field(spec, ("valuesFrom",)) or ()):
        config_map = sources.config_maps.get((resource.ref.namespace, str(get_field(entry, ("name",)))), {})
        key = get_field(entry, ("valuesKey",)) or "values.yaml"
        if get_field(entry, ("kind",)) == "ConfigMap" and key in config_map and not get_field(entry, ("targetPath",)):
            parts.append((helm_values.parse_values(config_map[key])[0], None))
        elif not get_field(entry, ("optional",)):
            gaps.append(Gap(resource.origin.file, f"a HelmRelease: {UNKNOWN_VALUES_REASON}"))
    namespace = get_field(spec, ("targetNamespace",)) or resource.ref.namespace or "default"
    release = get_field(spec, ("releaseName",)) or resource.ref.name
    use = _merge_chart_use(folder, str(release), str(namespace), files, parts)
    post_rendering = post_render.read_post_rendering(spec)
    yield use._replace(release_object=resource if post_rendering else None, post_rendering=post_rendering)


def _find_application_uses(resource: Resource, sources: ChartSources, gaps: list[Gap]) -> Iterator[ChartUse]:
    for where, part in list_sources(resource.value.get("spec")):
        folder = sources.find_folder(get_field(part, ("path",)))
        if isinstance(get_field(part, ("chart",)), str):
            gaps.append(Gap(resource.origin.file, f"an Application: {EXTERNAL_CHART_REASON}"))
        if folder is not None:
            use = build_chart_use(resource, where, folder, sources.has_file, {})
            yield use._replace(values_files=tuple(map(sources.find_file, use.values_files)))


def build_chart_use(
    application: Resource,
    source_path: FieldPath,
    folder: str,
    has_file: Callable[[str], bool],
    ref_roots: Mapping[str, Path],
) -> ChartUse:
    """The use of a chart by one source of an Application.

    Args:
        source_path: the path of the source in the Application.
        folder: the folder of the chart.
        has_file: whether a file exists: a path in the repository, or an absolute path in another one.
        ref_roots: the folders of other repositories that it takes values files from, by their `ref`.
    """
    spec, part = application.value.get("spec"), get_field(application.value, source_path)
    helm = get_field(part, ("helm",)) or {}
    # Argo CD resolves them from the path as it is written, before any symbolic link in it.
    start = join_path("", str(get_field(part, ("path",)) or folder))
    files = tuple(_resolve_values_file(start, str(file), ref_roots) for file in get_field(helm, ("valueFiles",)) or ())
    if get_field(helm, ("ignoreMissingValueFiles",)):
        files = tuple(file for file in files if has_file(file))
    parts = [
        helm_values.parse_parameters(get_field(helm, ("parameters",))),
        helm_values.read_mapping(application, (*source_path, "helm", "valuesObject")),
        helm_values.read_embedded_yaml(application, (*source_path, "helm", "values")),
    ]
    own = get_field(helm, ("namespace",)) or get_field(spec, ("destination", "namespace"))
    namespace = own or application.ref.namespace or "default"
    release = get_field(helm, ("releaseName",)) or application.ref.name
    return _merge_chart_use(folder, str(release), str(namespace), files, parts)


def _resolve_values_file(folder: str, name: str, ref_roots: Mapping[str, Path]) -> str:
    """The path of a values file: relative to a folder, to the root (`/x`), or to another source (`$ref/x`)."""
    if name.startswith("$"):
        ref, _, path = name[1:].partition("/")
        local = join_path("", path)
        return str(ref_roots[ref] / local) if ref in ref_roots and not local.startswith("..") else local
    return join_path("", name) if name.startswith("/") else join_path(folder, name)


def _merge_chart_use(
    folder: str,
    release: str,
    namespace: str,
    values_files: tuple[str, ...],
    values_parts: Sequence[tuple[Any, LocatedValues | None]],
) -> ChartUse:
    """A chart use with merged inline values; the part with the highest precedence comes first."""
    merged: Any = {}
    for values, _ in reversed(values_parts):
        merged = helm_values.merge_values(merged, values)
    written = tuple(place for values, place in values_parts if values and place is not None)
    return ChartUse(
        chart=folder,
        release=release,
        namespace=namespace,
        values_files=values_files,
        inline_values=orjson.dumps(merged) if merged else b"",
        located_values=written,
    )
