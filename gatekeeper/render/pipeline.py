"""What is rendered with what: the plan over a tree, and its execution on all cores, in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gatekeeper.config import Config
from gatekeeper.model import Finding, Gap, Place, Resource, at
from gatekeeper.render import appliers as render_appliers
from gatekeeper.render import build_units, chart_uses, kustomization_graph, manifests, post_build
from gatekeeper.render.appliers import Applied
from gatekeeper.render.build_units import Unit
from gatekeeper.render.kustomization_graph import Kustomization
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import Source
from gatekeeper.workspace.tree import Tree, gather

Tell = Callable[[int, int], None]
Built = tuple[list[Resource], list[Finding], list[Gap]]
NAME = ("metadata", "name")
NOTES = {
    "helm template": "a Helm template: judged as its chart renders it",
    "encrypted": "",
}


class Rendered(NamedTuple):
    """What is to be judged, and what was found or missed on the way.

    Attributes:
        parts: the resources, with the file, the kustomization's folder or the chart's folder that each lot came from.
    """

    parts: list[tuple[str, list[Resource]]]
    findings: list[Finding]
    gaps: list[Gap]

    @property
    def resources(self) -> list[Resource]:
        """All resources, in a new list."""
        return [resource for _, lot in self.parts for resource in lot]


def all_of(tree: Tree, sources: Sequence[Source], config: Config, jobs: int, tell: Tell = lambda *_: None) -> Rendered:
    """Renders a tree: what kustomizations and controllers build, charts, and the plain files that nothing builds.

    Args:
        tell: is told how many of how many are built.
    """
    rendered = Rendered([], [], [])
    _note_sources(sources, rendered)
    base = ground(tree, sources, config)
    found, by_file, plainly, planned, parts = base.found, base.by_file, base.plainly, base.planned, base.parts
    rendered.findings.extend(finding for source in base.alone for finding in _headless(source))
    configs = base.configs
    rendered.parts.extend((file, plainly[file]) for file in base.free)
    idle = (found[folder].source.file for folder in build_units.unused(found, parts, planned))
    rendered.gaps.extend(Gap(file, "a component that no kustomization uses: not built") for file in idle)
    known = render_appliers.of(rendered.resources, tree, configs)
    done = 0
    for generation in build_units.generations(parts, found, planned):
        tasks = [
            partial(_build, tree, part, build_units.appliers(part, found, known), found, by_file, plainly, config)
            for part in generation
        ]
        for part, built in zip(generation, _side_by_side(tasks, jobs), strict=True):
            done += 1
            tell(done, len(parts))
            _add(rendered, part.folder, built)
            # Where a part could not be built, what stands in its files still tells who applies what.
            files = build_units.files_of(part, found) if built[2] else ()
            instead = [one for file in files if file in by_file for one in manifests.resources(by_file[file])]
            known.extend(render_appliers.of(built[0] or instead, tree, configs))
    inflated = {chart for part in found.values() for chart in part.inflates}
    uses, elsewhere = chart_uses.uses(rendered.resources, base.charts, by_file, configs, inflated)
    rendered.gaps.extend(elsewhere)
    charted = _side_by_side([partial(_chart, tree, use, by_file, config) for use in uses], jobs)
    for number, (use, built) in enumerate(zip(uses, charted, strict=True)):
        tell(number + 1, len(uses))
        _add(rendered, use.chart, built)
    _note_variables(rendered)
    return rendered


class Ground(NamedTuple):
    """What a tree is rendered from: its kustomizations and charts, what is plain, who applies what, and the units."""

    found: Mapping[str, Kustomization]
    charts: Sequence[str]
    by_file: Mapping[str, Source]
    alone: Sequence[Source]
    plainly: Mapping[str, list[Resource]]
    configs: render_appliers.Configs
    planned: Sequence[Applied]
    parts: Sequence[Unit]
    free: Sequence[str]


def ground(tree: Tree, sources: Sequence[Source], config: Config, given: Sequence[Resource] = ()) -> Ground:
    """What a tree is rendered from.

    Args:
        given: who applies besides those that stand in the tree.
    """
    sources = [*sources, *kustomization_graph.outside(tree, sources)]
    by_file = {source.file: source for source in sources}
    found = kustomization_graph.find(tree, sources)
    chart_folders = chart_uses.folders(sources)
    alone = _alone(sources, found, chart_folders, config)
    plainly = {source.file: list(manifests.resources(source)) for source in alone}
    # What kustomizations build is known only later; as it is written, it tells who applies what, and so the order.
    written = [part for source in sources for part in (plainly.get(source.file) or manifests.resources(source))]
    configs = render_appliers.configs(written)
    planned = render_appliers.of([*written, *given], tree, configs)
    parts, free = build_units.find(found, [file for file, resources in plainly.items() if resources], planned)
    return Ground(found, chart_folders, by_file, alone, plainly, configs, planned, parts, free)


def by_applier(
    tree: Tree, sources: Sequence[Source], config: Config, jobs: int, given: Sequence[Resource] | None = None
) -> Iterator[tuple[Applied, Built]]:
    """What each controller applies, for those who apply it themselves; charts are not among it.

    Args:
        given: who applies, as it is in the cluster; None for those that stand in the tree.
    """
    base = ground(tree, sources, config, given or ())
    who = all_of(tree, sources, config, jobs).resources if given is None else given
    known = render_appliers.of(who, tree, base.configs)
    lots: dict[int, list[Unit]] = {id(entry): [] for entry in known}
    for unit in base.parts:
        for entry in build_units.appliers(unit, base.found, known):
            lots[id(entry)].append(unit)
    for entry in known:
        built: Built = ([], [], [])
        for unit in lots[id(entry)]:
            part = _build(tree, unit, [entry], base.found, base.by_file, base.plainly, config)
            for whole, more in zip(built, part, strict=True):
                whole.extend(more)  # type: ignore[attr-defined]
        yield entry, built


def _alone(
    sources: Sequence[Source], found: Mapping[str, Kustomization], chart_folders: Sequence[str], config: Config
) -> list[Source]:
    """The files that neither kustomize nor Helm builds, and that are no policy or case of its test."""
    used = {file for part in found.values() for file in part.files} | {part.source.file for part in found.values()}
    inside = [f"{folder}/{part}/".lstrip("/") for folder in chart_folders for part in ("templates", "charts")]
    rules = [f"{path.strip('/')}/" for path in config.policies if path.strip("./")]
    return [one for one in sources if one.file not in used and not one.file.startswith((*inside, *rules))]


def of_repository(root: Path, config: Config) -> Rendered:
    """Reads and renders a whole repository, for those who do not judge it; what cannot be read is among the gaps."""
    jobs = os.cpu_count() or 1
    tree = gather([root], root, config.exclude)
    read, unread = documents.read(tree, jobs)
    rendered = all_of(tree, read, config, jobs)
    return rendered._replace(gaps=[*unread, *rendered.gaps])


def _side_by_side(tasks: Sequence[Callable[[], Built]], jobs: int) -> Iterator[Built]:
    """What the tasks bring, in their order, as soon as it is there."""
    if tasks:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(lambda task: task(), tasks)


def _add(rendered: Rendered, folder: str, built: Built) -> None:
    rendered.parts.append((folder, built[0]))
    rendered.findings.extend(built[1])
    rendered.gaps.extend(built[2])


def _build(
    tree: Tree,
    unit: Unit,
    appliers: Sequence[Applied],
    found: Mapping[str, Kustomization],
    sources: Mapping[str, Source],
    plainly: Mapping[str, list[Resource]],
    config: Config,
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
            from gatekeeper.render import kustomize
            from gatekeeper.render.kustomize import Target

            built = kustomize.build(tree, found, Target(unit.folder, unit.files, by), sources, config)
        sets = [entry.variables for entry in entries] or [None]
        for number, chosen in enumerate(sets):
            if chosen not in sets[:number]:
                done[0].extend(post_build.substituted(built[0], chosen))
        done[1].extend(built[1])
        done[2].extend(built[2])
    return done


def _chart(tree: Tree, use: chart_uses.Use, sources: Mapping[str, Source], config: Config) -> Built:
    from gatekeeper.render import helm

    return helm.build(tree, use, sources, config.kubernetes, config.timeout)


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
        else:
            rendered.findings.extend(_duplicates(source))
            heads = [document.head for document in source.documents]
            if heads and not any(heads):
                rendered.gaps.append(Gap(source.file, "no Kubernetes resource"))
            elif heads and all(head and manifests.is_for_a_program(head[0], head[1]) for head in heads):
                rendered.gaps.append(Gap(source.file, "configures a program, not a cluster"))


def _duplicates(source: Source) -> Iterator[Finding]:
    for document in source.documents:
        for key, line, column, first in document.duplicates:
            message = f"`{key}` is written twice; the first is in line {first}, and only one of them counts"
            yield Finding("yaml/duplicate-key", "error", message, Place(source.file, line, column), hint="remove one")


def _headless(source: Source) -> Iterator[Finding]:
    """Documents that would be resources, had they an `apiVersion`."""
    for document in source.documents:
        if document.head is None and b'"kind"' in document.json:
            value = documents.value_of(document)
            if isinstance(value, dict) and isinstance(value.get("kind"), str) and isinstance(at(value, NAME), str):
                _, line, column = document.locate(("kind",))
                message = f"a {value['kind']} without `apiVersion`: no cluster takes it"
                place = Place(source.file, line, column)
                yield Finding("schema/required", "error", message, place, hint="write the `apiVersion` of the kind")


def _note_variables(rendered: Rendered) -> None:
    for resource in rendered.resources:
        if b"${" in resource.json and post_build.VARIABLE.search(resource.json.decode("utf-8", "replace")):
            rendered.gaps.append(
                Gap(resource.origin.file, "holds ${VAR} that nothing here sets: those fields were not judged")
            )
