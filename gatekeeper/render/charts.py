"""Helm charts of the repository, and every set of values that the repository uses them with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import orjson

from gatekeeper import documents
from gatekeeper.documents import Source
from gatekeeper.model import FieldPath, Resource, at
from gatekeeper.render.origin import joined
from gatekeeper.roles import Positions


class Use(NamedTuple):
    """One way in which the repository uses a chart: files of values first, then values written in a resource."""

    chart: str
    release: str
    namespace: str
    files: tuple[str, ...] = ()
    inline: bytes = b""
    inline_at: tuple[str, Positions, FieldPath] | None = None


def folders(sources: Iterable[Source]) -> list[str]:
    """Folders of charts that can be rendered by themselves: not those inside of another, not libraries."""
    found = []
    for source in sources:
        if source.file.rpartition("/")[2] == "Chart.yaml" and source.documents:
            value = documents.value_of(source.documents[0])
            if isinstance(value, dict) and value.get("type") != "library":
                found.append(source.folder)
    return [folder for folder in found if not any(folder.startswith(f"{other}/charts/") for other in found)]


def uses(resources: Iterable[Resource], chart_folders: list[str], sources: Mapping[str, Source]) -> list[Use]:
    """Every use of the repository's charts; one with the chart's own values where nothing else uses it."""
    found: list[Use] = []
    for resource in resources:
        if resource.ref.kind == "HelmRelease":
            found.extend(_by_release(resource, chart_folders))
        elif resource.ref.kind == "Application" and resource.ref.group == "argoproj.io":
            found.extend(_by_application(resource, chart_folders))
    used = {use.chart for use in found}
    for folder in chart_folders:
        name = PurePosixPath(folder).name or "chart"
        if folder not in used:
            found.append(Use(folder, name, "default"))
        beside = (file for file in sources if file.rpartition("/")[0] == folder)
        other = (file for file in beside if re.fullmatch(r"values[.-].+\.ya?ml", file.rpartition("/")[2]))
        found.extend(Use(folder, name, "default", (file,)) for file in other)
    return list(dict.fromkeys(found))


def _by_release(resource: Resource, chart_folders: list[str]) -> Iterator[Use]:
    spec = resource.value.get("spec")
    chart = at(spec, ("chart", "spec", "chart"))
    folder = joined("", chart) if isinstance(chart, str) else None
    if folder not in chart_folders or at(spec, ("chart", "spec", "sourceRef", "kind")) == "HelmRepository":
        return
    files = at(spec, ("chart", "spec", "valuesFiles")) or ()
    yield _use(resource, str(folder), spec, tuple(joined("", str(file)) for file in files), ("spec", "values"))


def _by_application(resource: Resource, chart_folders: list[str]) -> Iterator[Use]:
    spec = resource.value.get("spec")
    several = at(spec, ("sources",))
    named: list[tuple[FieldPath, Any]] = [(("spec", "source"), at(spec, ("source",)))]
    named += [(("spec", "sources", n), part) for n, part in enumerate(several if isinstance(several, list) else ())]
    for where, part in named:
        path = at(part, ("path",))
        folder = joined("", path) if isinstance(path, str) else None
        if folder in chart_folders:
            files = tuple(joined(str(folder), str(file)) for file in at(part, ("helm", "valueFiles")) or ())
            yield _use(resource, str(folder), spec, files, (*where, "helm", "valuesObject"))


def _use(resource: Resource, folder: str, spec: Any, files: tuple[str, ...], path: FieldPath) -> Use:
    origin = resource.origin
    values = at(resource.value, path)
    document, prefix = getattr(origin, "document", None), getattr(origin, "prefix", ())
    namespace = at(spec, ("targetNamespace",)) or at(spec, ("destination", "namespace")) or resource.ref.namespace
    release = at(spec, ("releaseName",)) or resource.ref.name
    inline_at = (origin.file, document, (*prefix, *path)) if document is not None and values else None
    return Use(folder, str(release), str(namespace or "default"), files, orjson.dumps(values or {}), inline_at)
