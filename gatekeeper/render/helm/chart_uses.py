"""Helm charts of the repository, and each set of values that the repository uses them with.

Sources: helm.toolkit.fluxcd.io/v2 `HelmRelease.spec`; argoproj.io/v1alpha1 `Application.spec.source.helm`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from gatekeeper.model import FieldPath, Finding, Gap, Resource, get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render.appliers import list_sources
from gatekeeper.render.helm import chart_requests, helm_values, release_values
from gatekeeper.render.helm.chart_requests import RequestedChart, SourceObjects
from gatekeeper.render.helm.release_values import ValuesObjects
from gatekeeper.render.model import ChartUse, FetchedChart, LocatedValues, join_path
from gatekeeper.sources.model import LockedSources, RequestedSource
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import ParsedFile, Tree

EXTERNAL_CHART_REASON = "its chart is not in the repository, so the objects that it renders were not checked"
APPLICATION_SET_REASON = "its generators are not run, so the objects were checked as they are in the repository's files"
UNLOCKED_RULE = "sources/unlocked"


class ChartSources(NamedTuple):
    """What the repository's charts are used from.

    Attributes:
        folders: the folders of charts that can be rendered on their own.
        files: the parsed files.
        values_objects: what `valuesFrom` can name.
        objects: the sources of Flux.
        locked: the charts from elsewhere that are pinned.
    """

    tree: Tree
    folders: Sequence[str]
    files: Collection[str]
    values_objects: ValuesObjects
    objects: SourceObjects
    locked: LockedSources

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


class ChartUses(NamedTuple):
    """The charts that a repository uses, and what is not known of them.

    Attributes:
        requests: the charts from elsewhere, whether they are locked or not.
    """

    uses: list[ChartUse]
    gaps: list[Gap]
    findings: list[Finding]
    requests: list[RequestedSource]


def find_chart_uses(
    resources: Iterable[Resource], sources: ChartSources, inflated_charts: Collection[str] = ()
) -> ChartUses:
    """Every use of a chart; an unused chart of the repository counts with its own values.

    Args:
        inflated_charts: charts that kustomizations inflate.
    """
    uses: list[ChartUse] = []
    found = ChartUses([], [], [], [])
    for resource in resources:
        if resource.ref.kind == "HelmRelease" and resource.ref.group == "helm.toolkit.fluxcd.io":
            uses.extend(_find_release_uses(resource, sources, found))
        elif resource.ref.kind == "Application" and resource.ref.group == "argoproj.io":
            uses.extend(_find_application_uses(resource, sources, found))
        elif resource.ref.kind == "ApplicationSet" and resource.ref.group == "argoproj.io":
            found.gaps.append(Gap(resource.origin.file, f"an ApplicationSet: {APPLICATION_SET_REASON}"))
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
        once.setdefault((use.rendering_key, use.post_rendering), use)
    return found._replace(uses=list(once.values()))


def _find_release_uses(resource: Resource, sources: ChartSources, found: ChartUses) -> Iterator[ChartUse]:
    spec = resource.value.get("spec")
    request = chart_requests.find_release_request(resource, sources.objects)
    fetched = None if request is None else _find_fetched(resource, request, sources, found)
    folder = sources.find_folder(get_field(spec, ("chart", "spec", "chart"))) if request is None else None
    if fetched is None and folder is None:
        if request is None:
            found.gaps.append(Gap(resource.origin.file, f"a HelmRelease: {EXTERNAL_CHART_REASON}"))
        return
    values = release_values.read_values(resource, sources.values_objects, found.gaps)
    files: tuple[str, ...] = ()
    if folder is not None:
        # Their paths begin at the root of the repository.
        files = tuple(sources.find_file(join_path("", file)) for file in values.chart_files)
        files = tuple(file for file in files if not values.ignores_missing or sources.has_file(file))
        values = values._replace(chart_files=(), ignores_missing=False)
    post_rendering = release_values.read_post_rendering(spec)
    located = helm_values.read_mapping(resource, ("spec", "values"))[1]
    namespace = get_field(spec, ("targetNamespace",)) or resource.ref.namespace or "default"
    yield ChartUse(
        chart=str(folder) if fetched is None else fetched.pin.digest,
        release=release_values.get_release_name(resource),
        namespace=str(namespace),
        values_files=files,
        located_values=() if located is None else (located,),
        release_object=resource if post_rendering else None,
        post_rendering=post_rendering,
        fetched=fetched,
        include_crds=fetched is not None and get_field(spec, ("install", "crds")) != "Skip",
        flux=values,
    )


def _find_fetched(
    resource: Resource, chart: RequestedChart, sources: ChartSources, found: ChartUses
) -> FetchedChart | None:
    """The chart from elsewhere that an object uses, if it is locked; else a finding, and what is not judged for it."""
    file = resource.origin.file
    kind = f"{'an' if resource.ref.kind == 'Application' else 'a'} {resource.ref.kind}"
    if chart.source is None:
        found.gaps.append(Gap(file, f"{kind}: {chart.reason}"))
        return None
    found.requests.append(chart.source)
    request, place = chart.source
    pin = sources.locked.pins.get(request.key)
    if pin is not None:
        return FetchedChart(chart.name or request.address.rpartition("/")[2], pin, chart.location)
    found.findings.append(
        Finding(
            UNLOCKED_RULE,
            "warning",
            f"`{request.key}` is not in `gatekeeper.lock`, so what it renders is not checked",
            place,
            hint="run `gatekeeper fetch`, and commit `gatekeeper.lock`",
        )
    )
    # A repository that locks its sources must lock all of them.
    reason = f"{kind}: its chart is not in `gatekeeper.lock`: run `gatekeeper fetch`"
    found.gaps.append(Gap(file, reason, is_fatal=sources.locked.is_locked))
    return None


def _find_application_uses(resource: Resource, sources: ChartSources, found: ChartUses) -> Iterator[ChartUse]:
    for where, part in list_sources(resource.value.get("spec")):
        folder = sources.find_folder(get_field(part, ("path",)))
        if isinstance(get_field(part, ("chart",)), str):
            request = chart_requests.find_application_request(resource, where)
            fetched = _find_fetched(resource, request, sources, found)
            if fetched is not None:
                use = build_chart_use(resource, where, fetched.pin.digest, sources.has_file, {})
                yield use._replace(fetched=fetched, include_crds=not get_field(part, ("helm", "skipCrds")))
        elif folder is not None:
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
