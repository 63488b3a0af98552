"""What is rendered with what: the plan over a tree, and its execution on all cores, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gatekeeper import documents
from gatekeeper.config import Config
from gatekeeper.documents import Source
from gatekeeper.engines import crds
from gatekeeper.engines.crds import Definition
from gatekeeper.errors import UsageError
from gatekeeper.model import Finding, Gap, Place, Resource
from gatekeeper.render import flux, helm, kustomize, plain
from gatekeeper.render.kustomize import Kustomization
from gatekeeper.sources import Tree

Built = tuple[list[Resource], list[Finding], list[Gap]]
NOTES = {
    "helm template": "a Helm template: judged as its chart renders it",
    "encrypted": "",
}


@dataclass
class Rendered:
    """Everything that is to be judged, and what was found or missed on the way."""

    resources: list[Resource] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


def all_of(tree: Tree, sources: Sequence[Source], config: Config, jobs: int) -> Rendered:
    """Renders a tree: kustomization roots, charts, and the plain files that no kustomization uses."""
    rendered = Rendered()
    _note_sources(sources, rendered)
    by_file = {source.file: source for source in sources}
    found = kustomize.find(tree, list(sources))
    used = _used(found)
    charts = helm.charts(sources)
    alone = [source for source in sources if source.file not in used and not _is_build_file(source, found, charts)]
    plainly = {source.file: list(plain.resources(source)) for source in alone}
    # Flux and Argo resources may themselves be parts of kustomizations, so they are looked for in all files.
    known = [part for source in sources for part in (plainly.get(source.file) or plain.resources(source))]
    applied = flux.applied(known, flux.configs(known))
    roots = _roots(found, {entry.folder for entry in applied})
    tasks: list[tuple[str, Callable[[], Built]]] = [
        (folder, partial(kustomize.build, tree, found, folder, by_file, config.timeout)) for folder in roots
    ]
    tasks += [
        (use.chart, partial(helm.build, tree, use, by_file, config.kubernetes, config.timeout))
        for use in helm.uses(known, charts, by_file)
    ]
    for file, resources in plainly.items():
        rendered.resources.extend(flux.substituted(resources, _variables(file, applied)))
    with ThreadPoolExecutor(jobs) as pool:
        for folder, (resources, findings, gaps) in zip(
            [folder for folder, _ in tasks], pool.map(lambda task: task[1](), tasks), strict=True
        ):
            rendered.findings.extend(findings)
            rendered.gaps.extend(gaps)
            variants = [entry.variables for entry in applied if entry.folder == folder] or [None]
            for variables in variants:
                rendered.resources.extend(flux.substituted(resources, variables))
    _note_variables(rendered)
    return rendered


def definitions(
    tree: Tree, sources: Sequence[Source], resources: Sequence[Resource], config: Config
) -> Iterator[Definition]:
    """The CRDs of the repository, rendered or not, and of the folders that the config names.

    Raises:
        UsageError: a folder of the config does not exist or holds no CRD.
    """
    for resource in resources:
        if resource.ref.kind == "CustomResourceDefinition":
            yield from crds.definitions(resource.value)
    for source in sources:
        for document in source.documents:
            if b'"CustomResourceDefinition"' in document.json:
                yield from crds.definitions(documents.value_of(document))
    for folder in config.crds:
        yield from _definitions_in(tree, folder)


def _definitions_in(tree: Tree, folder: str) -> list[Definition]:
    found: list[Definition] = []
    files = sorted((tree.root / folder).rglob("*.y*ml"))
    for file in files:
        parsed, _ = documents.parse(file.read_bytes())
        for document in parsed:
            value: Any = documents.value_of(document)
            if documents.is_resource(value) and value["kind"] == "CustomResourceDefinition":
                found.extend(crds.definitions(value))
    if not found:
        raise UsageError(f"`schemas.crds` names {folder}, where no CustomResourceDefinition is; correct it")
    return found


def _note_sources(sources: Sequence[Source], rendered: Rendered) -> None:
    """Files that are no manifests, and manifests that cannot be read."""
    for source in sources:
        if source.broken:
            rule = "yaml/encoding" if source.role == "unreadable" else "yaml/syntax"
            message = f"cannot be read: {source.note}"
            rendered.findings.append(
                Finding(rule, "error", message, source.broken, hint="mend the file, or exclude it")
            )
            rendered.gaps.append(Gap(source.file, message, fatal=True))
        elif source.role != "documents":
            rendered.gaps.append(Gap(source.file, NOTES.get(source.role) or source.note))
        elif source.documents and not any(b'"kind"' in document.json for document in source.documents):
            rendered.gaps.append(Gap(source.file, "no Kubernetes resource"))
        else:
            rendered.findings.extend(_duplicates(source))


def _duplicates(source: Source) -> Iterator[Finding]:
    for document in source.documents:
        for key, line, column, first in document.duplicates:
            message = f"`{key}` is written twice; the first is in line {first}, and only one of them counts"
            yield Finding("yaml/duplicate-key", "error", message, Place(source.file, line, column), hint="remove one")


def _note_variables(rendered: Rendered) -> None:
    for resource in rendered.resources:
        if b"${" in resource.json and flux.VARIABLE.search(resource.json.decode("utf-8", "replace")):
            rendered.gaps.append(
                Gap(resource.origin.file, "holds ${VAR} that nothing here sets: those fields were not judged")
            )


def _used(found: Mapping[str, Kustomization]) -> set[str]:
    """Files that a kustomization names: judged as it builds them, not by themselves."""
    return {file for part in found.values() for file in part.files}


def _is_build_file(source: Source, found: Mapping[str, Kustomization], charts: Sequence[str]) -> bool:
    own = found.get(source.folder)
    in_chart = any(source.file.startswith((f"{chart}/templates/", f"{chart}/charts/")) for chart in charts if chart)
    return (own is not None and own.source.file == source.file) or in_chart


def _roots(found: Mapping[str, Kustomization], applied: set[str]) -> list[str]:
    """Kustomizations that nothing builds on, and those that Flux applies."""
    children = {folder for part in found.values() for folder in part.folders}
    return sorted(
        folder
        for folder, part in found.items()
        if not part.is_component and (folder not in children or folder in applied)
    )


def _variables(file: str, applied: Sequence[flux.Applied]) -> Mapping[str, str] | None:
    """The variables of the Flux Kustomization that applies a plain file: the one with the longest path above it."""
    above = [entry for entry in applied if not entry.folder or file.startswith(f"{entry.folder}/")]
    return max(above, key=lambda entry: len(entry.folder)).variables if above else None
