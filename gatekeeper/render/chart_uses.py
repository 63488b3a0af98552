"""Helm charts of the repository, and every set of values that the repository uses them with.

Sources: helm.toolkit.fluxcd.io/v2 `HelmRelease.spec`; argoproj.io/v1alpha1 `Application.spec.source.helm`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import orjson

from gatekeeper.model import FieldPath, Gap, Resource, at
from gatekeeper.render import helm_values
from gatekeeper.render.appliers import Configs, sources_of
from gatekeeper.render.helm_values import Written
from gatekeeper.render.origin import joined
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import Source

ELSEWHERE = "its chart is not in the repository: what that renders is not judged"
EXPANDED = "its generators are not run: what it applies is judged as it stands in the repository"
UNKNOWN_VALUES = "takes values from what is not in the repository in the open: its chart was rendered without them"


class Use(NamedTuple):
    """One way in which the repository uses a chart: files of values first, then values written in a resource.

    Attributes:
        inline: values that are no file, merged, as JSON; empty where there are none.
        written: where those stand, the ones that win first.
        crds: whether the chart's own definitions are rendered, too.
    """

    chart: str
    release: str
    namespace: str
    files: tuple[str, ...] = ()
    inline: bytes = b""
    written: tuple[Written, ...] = ()
    crds: bool = False


def folders(sources: Iterable[Source]) -> list[str]:
    """Folders of charts that can be rendered by themselves: not those inside of another, not libraries."""
    found = []
    for source in sources:
        if source.file.rpartition("/")[2] == "Chart.yaml" and source.documents:
            value = documents.value_of(source.documents[0])
            if isinstance(value, dict) and value.get("type") != "library":
                found.append(source.folder)
    return [folder for folder in found if not any(folder.startswith(f"{other}/charts/".lstrip("/")) for other in found)]


def uses(
    resources: Iterable[Resource],
    chart_folders: Sequence[str],
    sources: Mapping[str, Source],
    configs: Configs,
    inflated: Collection[str] = (),
) -> tuple[list[Use], list[Gap]]:
    """Every use of the repository's charts (one with the chart's own values where nothing else uses it), and what
    uses charts from elsewhere.

    Args:
        configs: the data of ConfigMaps, by namespace and name, for `valuesFrom`.
        inflated: charts that kustomizations use.
    """
    found: list[Use] = []
    gaps: list[Gap] = []
    for resource in resources:
        if resource.ref.kind == "HelmRelease" and resource.ref.group == "helm.toolkit.fluxcd.io":
            found.extend(_by_release(resource, chart_folders, sources, configs, gaps))
        elif resource.ref.kind == "Application" and resource.ref.group == "argoproj.io":
            found.extend(_by_application(resource, chart_folders, sources, gaps))
        elif resource.ref.kind == "ApplicationSet" and resource.ref.group == "argoproj.io":
            gaps.append(Gap(resource.origin.file, f"an ApplicationSet: {EXPANDED}"))
    used = {use.chart for use in found}.union(inflated)
    for folder in chart_folders:
        name = PurePosixPath(folder).name or "chart"
        if folder not in used:
            found.append(Use(folder, name, "default"))
        beside = (file for file in sources if file.rpartition("/")[0] == folder)
        other = (file for file in beside if re.fullmatch(r"values[.-].+\.ya?ml", file.rpartition("/")[2]))
        named = {file for use in found if use.chart == folder for file in use.files}
        found.extend(Use(folder, name, "default", (file,)) for file in other if file not in named)
    once: dict[tuple[object, ...], Use] = {}
    for use in found:
        once.setdefault(use[:5], use)
    return list(once.values()), gaps


def _by_release(
    resource: Resource, chart_folders: Sequence[str], sources: Collection[str], configs: Configs, gaps: list[Gap]
) -> Iterator[Use]:
    spec = resource.value.get("spec")
    chart = at(spec, ("chart", "spec", "chart"))
    folder = joined("", chart) if isinstance(chart, str) else None
    if folder not in chart_folders or at(spec, ("chart", "spec", "sourceRef", "kind")) == "HelmRepository":
        gaps.append(Gap(resource.origin.file, f"a HelmRelease: {ELSEWHERE}"))
        return
    named = at(spec, ("chart", "spec", "valuesFiles")) or ()
    files = tuple(joined("", str(file)) for file in named)
    if at(spec, ("chart", "spec", "ignoreMissingValuesFiles")):
        files = tuple(file for file in files if file in sources)
    parts = [helm_values.part(resource, ("spec", "values"))]
    for entry in reversed(at(spec, ("valuesFrom",)) or ()):
        held = configs.get((resource.ref.namespace, str(at(entry, ("name",)))), {})
        key = at(entry, ("valuesKey",)) or "values.yaml"
        if at(entry, ("kind",)) == "ConfigMap" and key in held and not at(entry, ("targetPath",)):
            parts.append((helm_values.text(held[key])[0], None))
        elif not at(entry, ("optional",)):
            gaps.append(Gap(resource.origin.file, f"a HelmRelease: {UNKNOWN_VALUES}"))
    namespace = at(spec, ("targetNamespace",)) or resource.ref.namespace or "default"
    release = at(spec, ("releaseName",)) or resource.ref.name
    yield _use(str(folder), str(release), str(namespace), files, parts)


def _by_application(
    resource: Resource, chart_folders: Sequence[str], sources: Collection[str], gaps: list[Gap]
) -> Iterator[Use]:
    for where, part in sources_of(resource.value.get("spec")):
        path = at(part, ("path",))
        folder = joined("", path) if isinstance(path, str) else None
        if isinstance(at(part, ("chart",)), str):
            gaps.append(Gap(resource.origin.file, f"an Application: {ELSEWHERE}"))
        if folder in chart_folders:
            yield of_source(resource, where, str(folder), sources.__contains__, {})


def of_source(
    resource: Resource, where: FieldPath, folder: str, is_there: Callable[[str], bool], roots: Mapping[str, Path]
) -> Use:
    """The use of a chart that a source of an Application makes.

    Args:
        where: of the source.
        folder: of the chart.
        is_there: whether a file of the repository, or of another in full, is there.
        roots: the folders of other repositories that it takes files of values from, by their `ref`.
    """
    spec, part = resource.value.get("spec"), at(resource.value, where)
    helm = at(part, ("helm",)) or {}
    files = tuple(_values_file(folder, str(file), roots) for file in at(helm, ("valueFiles",)) or ())
    if at(helm, ("ignoreMissingValueFiles",)):
        files = tuple(file for file in files if is_there(file))
    parts = [
        helm_values.parameters(at(helm, ("parameters",))),
        helm_values.part(resource, (*where, "helm", "valuesObject")),
        helm_values.inner(resource, (*where, "helm", "values")),
    ]
    own = at(helm, ("namespace",)) or at(spec, ("destination", "namespace"))
    namespace = own or resource.ref.namespace or "default"
    release = at(helm, ("releaseName",)) or resource.ref.name
    return _use(folder, str(release), str(namespace), files, parts)


def _values_file(folder: str, name: str, roots: Mapping[str, Path]) -> str:
    """A file of values: beside the chart, from the root (`/x`), or from another source (`$ref/x`)."""
    if name.startswith("$"):
        ref, _, path = name[1:].partition("/")
        local = joined("", path)
        return str(roots[ref] / local) if ref in roots and not local.startswith("..") else local
    return joined("", name) if name.startswith("/") else joined(folder, name)


def _use(
    folder: str, release: str, namespace: str, files: tuple[str, ...], parts: Sequence[tuple[Any, Written | None]]
) -> Use:
    """A use whose inline values are some parts, the one that wins first."""
    merged: Any = {}
    for held, _ in reversed(parts):
        merged = helm_values.merged(merged, held)
    written = tuple(place for held, place in parts if held and place is not None)
    return Use(folder, release, namespace, files, orjson.dumps(merged) if merged else b"", written)
