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
from gatekeeper.render import applied, helm, kustomize, plain, units, variables
from gatekeeper.render.applied import Applied
from gatekeeper.render.kustomize import Kustomization, Target
from gatekeeper.render.units import Unit
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
    """Renders a tree: what kustomizations and controllers build, charts, and the plain files that nothing builds."""
    rendered = Rendered()
    _note_sources(sources, rendered)
    by_file = {source.file: source for source in sources}
    found = kustomize.find(tree, list(sources))
    charts = helm.charts(sources)
    used = {file for part in found.values() for file in part.files}
    alone = [source for source in sources if source.file not in used and not _is_build_file(source, found, charts)]
    plainly = {source.file: list(plain.resources(source)) for source in alone}
    # What kustomizations build is known only later; as it is written, it tells who applies what, and so the order.
    written = [part for source in sources for part in (plainly.get(source.file) or plain.resources(source))]
    configs = applied.configs(written)
    planned = applied.of(written, tree, configs)
    parts, free = units.find(found, [file for file, resources in plainly.items() if resources], planned)
    rendered.resources.extend(resource for file in free for resource in plainly[file])
    known = applied.of(rendered.resources, tree, configs)
    with ThreadPoolExecutor(jobs) as pool:
        for generation in units.generations(parts, found, planned):
            tasks = [
                partial(_build, tree, part, units.appliers(part, found, known), found, by_file, plainly, config.timeout)
                for part in generation
            ]
            for part, built in zip(generation, pool.map(_call, tasks), strict=True):
                _add(rendered, built)
                # Where a part could not be built, what stands in its files still tells who applies what.
                files = units.files_of(part, found) if built[2] else ()
                instead = [one for file in files if file in by_file for one in plain.resources(by_file[file])]
                known.extend(applied.of(built[0] or instead, tree, configs))
        uses = helm.uses(written, charts, by_file)
        charted = [partial(helm.build, tree, use, by_file, config.kubernetes, config.timeout) for use in uses]
        for built in pool.map(_call, charted):
            _add(rendered, built)
    _note_variables(rendered)
    return rendered


def _call(task: Callable[[], Built]) -> Built:
    return task()


def _add(rendered: Rendered, built: Built) -> None:
    rendered.resources.extend(built[0])
    rendered.findings.extend(built[1])
    rendered.gaps.extend(built[2])


def _build(
    tree: Tree,
    unit: Unit,
    appliers: Sequence[Applied],
    found: Mapping[str, Kustomization],
    sources: Mapping[str, Source],
    plainly: Mapping[str, list[Resource]],
    timeout: float,
) -> Built:
    """One unit, once for each way in which controllers apply it."""
    ways: dict[bytes, list[Applied]] = {}
    for entry in appliers:
        ways.setdefault(entry.fields, []).append(entry)
    done: Built = ([], [], [])
    for entries in ways.values() or [[]]:
        by = entries[0] if entries and entries[0].fields else None
        if unit.files and by is None:
            built: Built = ([resource for file in unit.files for resource in plainly[file]], [], [])
        else:
            built = kustomize.build(tree, found, Target(unit.folder, unit.files, by), sources, timeout)
        sets = [entry.variables for entry in entries] or [None]
        for number, chosen in enumerate(sets):
            if chosen not in sets[:number]:
                done[0].extend(variables.substituted(built[0], chosen))
        done[1].extend(built[1])
        done[2].extend(built[2])
    return done


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
        if b"${" in resource.json and variables.VARIABLE.search(resource.json.decode("utf-8", "replace")):
            rendered.gaps.append(
                Gap(resource.origin.file, "holds ${VAR} that nothing here sets: those fields were not judged")
            )


def _is_build_file(source: Source, found: Mapping[str, Kustomization], charts: Sequence[str]) -> bool:
    own = found.get(source.folder)
    in_chart = any(source.file.startswith((f"{chart}/templates/", f"{chart}/charts/")) for chart in charts if chart)
    return (own is not None and own.source.file == source.file) or in_chart
