"""What is rendered with what: the plan over a tree, and its execution on all cores, in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gatekeeper.config import Config
from gatekeeper.model import Finding, Gap, Location, Resource, get_field
from gatekeeper.render import appliers as render_appliers
from gatekeeper.render import build_units, chart_uses, kustomization_graph, manifests, post_build
from gatekeeper.render.appliers import AppliedFolder
from gatekeeper.render.build_units import BuildUnit
from gatekeeper.render.kustomization_graph import KustomizationFile
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import ParsedFile
from gatekeeper.workspace.tree import Tree, build_tree

BuildProgress = Callable[[int, int], None]
BuildOutput = tuple[list[Resource], list[Finding], list[Gap]]
NAME_PATH = ("metadata", "name")
ROLE_REASONS = {
    "helm template": "a Helm template: judged as its chart renders it",
    "encrypted": "",
}


class RenderedTree(NamedTuple):
    """What is to be judged, and what was found or missed on the way.

    Attributes:
        resource_groups: the resources of each build, with the file or folder that it came from.
    """

    resource_groups: list[tuple[str, list[Resource]]]
    findings: list[Finding]
    gaps: list[Gap]

    @property
    def resources(self) -> list[Resource]:
        """All resources, in a new list."""
        return [resource for _, lot in self.resource_groups for resource in lot]


def render_tree(
    tree: Tree,
    parsed_files: Sequence[ParsedFile],
    config: Config,
    jobs: int,
    on_progress: BuildProgress = lambda *_: None,
) -> RenderedTree:
    """Renders a tree: what kustomizations and controllers build, charts, and the plain files that nothing builds.

    Args:
        on_progress: is told how many of how many are built.
    """
    rendered = RenderedTree([], [], [])
    _report_files(parsed_files, rendered)
    base = collect_inputs(tree, parsed_files, config)
    found, by_file, plainly, planned, parts = (
        base.kustomizations,
        base.files_by_path,
        base.plain_resources,
        base.applied_folders,
        base.build_units,
    )
    rendered.findings.extend(finding for source in base.plain_files for finding in _find_missing_api_versions(source))
    configs = base.config_maps
    rendered.resource_groups.extend((file, plainly[file]) for file in base.unapplied_files)
    idle = (found[folder].parsed_file.file for folder in build_units.find_unused_components(found, parts, planned))
    rendered.gaps.extend(Gap(file, "a component that no kustomization uses: not built") for file in idle)
    known = render_appliers.find_applied_folders(rendered.resources, tree, configs)
    done = 0
    for generation in build_units.order_units(parts, found, planned):
        tasks = [
            partial(
                _build_unit, tree, part, build_units.find_appliers(part, found, known), found, by_file, plainly, config
            )
            for part in generation
        ]
        for part, built in zip(generation, _run_in_parallel(tasks, jobs), strict=True):
            done += 1
            on_progress(done, len(parts))
            _add_output(rendered, part.folder, built)
            # Where a part could not be built, what stands in its files still tells who applies what.
            files = build_units.list_files(part, found) if built[2] else ()
            instead = [one for file in files if file in by_file for one in manifests.list_resources(by_file[file])]
            known.extend(render_appliers.find_applied_folders(built[0] or instead, tree, configs))
    inflated = {chart for part in found.values() for chart in part.local_charts}
    uses, elsewhere = chart_uses.find_chart_uses(rendered.resources, base.chart_folders, by_file, configs, inflated)
    rendered.gaps.extend(elsewhere)
    charted = _run_in_parallel([partial(_build_chart, tree, use, by_file, config) for use in uses], jobs)
    for number, (use, built) in enumerate(zip(uses, charted, strict=True)):
        on_progress(number + 1, len(uses))
        _add_output(rendered, use.chart, built)
    _report_unset_variables(rendered)
    return rendered


class RenderInputs(NamedTuple):
    """What a tree is rendered from: its kustomizations and charts, what is plain, who applies what, and the units."""

    kustomizations: Mapping[str, KustomizationFile]
    chart_folders: Sequence[str]
    files_by_path: Mapping[str, ParsedFile]
    plain_files: Sequence[ParsedFile]
    plain_resources: Mapping[str, list[Resource]]
    config_maps: render_appliers.ConfigMapData
    applied_folders: Sequence[AppliedFolder]
    build_units: Sequence[BuildUnit]
    unapplied_files: Sequence[str]


def collect_inputs(
    tree: Tree, parsed_files: Sequence[ParsedFile], config: Config, extra_appliers: Sequence[Resource] = ()
) -> RenderInputs:
    """What a tree is rendered from.

    Args:
        extra_appliers: who applies besides those that stand in the tree.
    """
    parsed_files = [*parsed_files, *kustomization_graph.parse_outside_files(tree, parsed_files)]
    by_file = {source.file: source for source in parsed_files}
    found = kustomization_graph.find_kustomizations(tree, parsed_files)
    chart_folders = chart_uses.find_chart_folders(parsed_files)
    alone = _select_plain_files(parsed_files, found, chart_folders, config)
    plainly = {source.file: list(manifests.list_resources(source)) for source in alone}
    # What kustomizations build is known only later; as it is written, it tells who applies what, and so the order.
    written = [
        part for source in parsed_files for part in (plainly.get(source.file) or manifests.list_resources(source))
    ]
    configs = render_appliers.collect_config_maps(written)
    planned = render_appliers.find_applied_folders([*written, *extra_appliers], tree, configs)
    parts, free = build_units.find_units(found, [file for file, resources in plainly.items() if resources], planned)
    return RenderInputs(found, chart_folders, by_file, alone, plainly, configs, planned, parts, free)


def render_by_applier(
    tree: Tree,
    parsed_files: Sequence[ParsedFile],
    config: Config,
    jobs: int,
    cluster_appliers: Sequence[Resource] | None = None,
) -> Iterator[tuple[AppliedFolder, BuildOutput]]:
    """What each controller applies, for those who apply it themselves; charts are not among it.

    Args:
        cluster_appliers: who applies, as it is in the cluster; None for those that stand in the tree.
    """
    base = collect_inputs(tree, parsed_files, config, cluster_appliers or ())
    who = render_tree(tree, parsed_files, config, jobs).resources if cluster_appliers is None else cluster_appliers
    known = render_appliers.find_applied_folders(who, tree, base.config_maps)
    lots: dict[int, list[BuildUnit]] = {id(entry): [] for entry in known}
    for unit in base.build_units:
        for entry in build_units.find_appliers(unit, base.kustomizations, known):
            lots[id(entry)].append(unit)
    for entry in known:
        built: BuildOutput = ([], [], [])
        for unit in lots[id(entry)]:
            part = _build_unit(
                tree, unit, [entry], base.kustomizations, base.files_by_path, base.plain_resources, config
            )
            for whole, more in zip(built, part, strict=True):
                whole.extend(more)  # type: ignore[attr-defined]
        yield entry, built


def _select_plain_files(
    parsed_files: Sequence[ParsedFile],
    kustomizations: Mapping[str, KustomizationFile],
    chart_folders: Sequence[str],
    config: Config,
) -> list[ParsedFile]:
    """The files that neither kustomize nor Helm builds, and that are no policy or case of its test."""
    used = {file for part in kustomizations.values() for file in part.files} | {
        part.parsed_file.file for part in kustomizations.values()
    }
    inside = [f"{folder}/{part}/".lstrip("/") for folder in chart_folders for part in ("templates", "charts")]
    rules = [f"{path.strip('/')}/" for path in config.policies if path.strip("./")]
    return [one for one in parsed_files if one.file not in used and not one.file.startswith((*inside, *rules))]


def render_repository(root: Path, config: Config) -> RenderedTree:
    """Reads and renders a whole repository, for those who do not judge it; what cannot be read is among the gaps."""
    jobs = os.cpu_count() or 1
    tree = build_tree([root], root, config.exclude)
    read, unread = documents.parse_tree(tree, jobs)
    rendered = render_tree(tree, read, config, jobs)
    return rendered._replace(gaps=[*unread, *rendered.gaps])


def _run_in_parallel(tasks: Sequence[Callable[[], BuildOutput]], jobs: int) -> Iterator[BuildOutput]:
    """What the tasks bring, in their order, as soon as it is there."""
    if tasks:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(lambda task: task(), tasks)


def _add_output(rendered: RenderedTree, folder: str, output: BuildOutput) -> None:
    rendered.resource_groups.append((folder, output[0]))
    rendered.findings.extend(output[1])
    rendered.gaps.extend(output[2])


def _build_unit(
    tree: Tree,
    unit: BuildUnit,
    applied_folders: Sequence[AppliedFolder],
    kustomizations: Mapping[str, KustomizationFile],
    files_by_path: Mapping[str, ParsedFile],
    plain_resources: Mapping[str, list[Resource]],
    config: Config,
) -> BuildOutput:
    """One unit, once for each way in which controllers apply it."""
    ways: dict[bytes, list[AppliedFolder]] = {}
    for entry in applied_folders:
        ways.setdefault(entry.added_fields, []).append(entry)
    done: BuildOutput = ([], [], [])
    for entries in ways.values() or [[]]:
        by = entries[0] if entries and entries[0].added_fields else None
        if unit.files and by is None:
            built: BuildOutput = ([resource for file in unit.files for resource in plain_resources[file]], [], [])
        else:
            from gatekeeper.render import kustomize
            from gatekeeper.render.kustomize import KustomizeTarget

            built = kustomize.build_target(
                tree, kustomizations, KustomizeTarget(unit.folder, unit.files, by), files_by_path, config
            )
        sets = [entry.variables for entry in entries] or [None]
        for number, chosen in enumerate(sets):
            if chosen not in sets[:number]:
                done[0].extend(post_build.substitute_variables(built[0], chosen))
        done[1].extend(built[1])
        done[2].extend(built[2])
    return done


def _build_chart(
    tree: Tree, use: chart_uses.ChartUse, files_by_path: Mapping[str, ParsedFile], config: Config
) -> BuildOutput:
    from gatekeeper.render import helm

    return helm.build_chart(tree, use, files_by_path, config)


def _report_files(parsed_files: Sequence[ParsedFile], rendered: RenderedTree) -> None:
    """Files that are no manifests, and manifests that cannot be read."""
    for source in parsed_files:
        if source.error_location:
            rule = "yaml/encoding" if source.role == "unreadable" else "yaml/syntax"
            message = f"cannot be read: {source.reason}"
            rendered.findings.append(
                Finding(rule, "error", message, source.error_location, hint="mend the file, or exclude it")
            )
            rendered.gaps.append(Gap(source.file, message, is_fatal=True))
        elif source.role != "documents":
            rendered.gaps.append(Gap(source.file, ROLE_REASONS.get(source.role) or source.reason))
        else:
            rendered.findings.extend(_find_duplicate_keys(source))
            heads = [document.head for document in source.documents]
            if heads and not any(heads):
                rendered.gaps.append(Gap(source.file, "no Kubernetes resource"))
            elif heads and all(head and manifests.is_program_config(head[0], head[1]) for head in heads):
                rendered.gaps.append(Gap(source.file, "configures a program, not a cluster"))


def _find_duplicate_keys(parsed_file: ParsedFile) -> Iterator[Finding]:
    for document in parsed_file.documents:
        for key, line, column, first in document.duplicates:
            message = f"`{key}` is written twice; the first is in line {first}, and only one of them counts"
            yield Finding(
                "yaml/duplicate-key", "error", message, Location(parsed_file.file, line, column), hint="remove one"
            )


def _find_missing_api_versions(parsed_file: ParsedFile) -> Iterator[Finding]:
    """Documents that would be resources, had they an `apiVersion`."""
    for document in parsed_file.documents:
        if document.head is None and b'"kind"' in document.json:
            value = documents.to_value(document)
            if (
                isinstance(value, dict)
                and isinstance(value.get("kind"), str)
                and isinstance(get_field(value, NAME_PATH), str)
            ):
                _, line, column = document.locate(("kind",))
                message = f"a {value['kind']} without `apiVersion`: no cluster takes it"
                place = Location(parsed_file.file, line, column)
                yield Finding("schema/required", "error", message, place, hint="write the `apiVersion` of the kind")


def _report_unset_variables(rendered: RenderedTree) -> None:
    for resource in rendered.resources:
        if b"${" in resource.json and post_build.VARIABLE_PATTERN.search(resource.json.decode("utf-8", "replace")):
            rendered.gaps.append(
                Gap(resource.origin.file, "holds ${VAR} that nothing here sets: those fields were not judged")
            )
