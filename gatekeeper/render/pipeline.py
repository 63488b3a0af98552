"""Renders a tree: what its kustomizations, controllers and charts build, and the plain files that nothing builds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from gatekeeper.config import Config
from gatekeeper.model import Finding, Gap, Resource
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render import appliers, build_units, findings, manifests
from gatekeeper.render.builder import Builder
from gatekeeper.render.helm import api_versions, chart_requests, chart_uses, release_values
from gatekeeper.render.inputs import add_appliers, collect_inputs
from gatekeeper.render.model import AppliedFolder, BuildOutput, BuildUnit, ChartUse
from gatekeeper.sources.model import RequestedSource
from gatekeeper.workspace import documents
from gatekeeper.workspace.file_selection import build_tree
from gatekeeper.workspace.tree import ParsedFile, Tree

# Receives how many builds are done, and how many there are.
BuildProgress = Callable[[int, int], None]


class RenderedTree(NamedTuple):
    """All resources of a tree, with what was found and what could not be rendered.

    Attributes:
        resource_groups: the resources of each build, with the file or folder that they were rendered from.
        builder: has the inputs and every build, to apply what was checked.
        requests: what the tree takes from elsewhere, locked or not.
        target_namespaces: the namespaces that controllers apply a resource group to, by its name, for objects that name
            none; groups without an Application are missing.
    """

    resource_groups: list[tuple[str, list[Resource]]]
    findings: list[Finding]
    gaps: list[Gap]
    builder: Builder
    target_namespaces: dict[str, list[str]]
    requests: list[RequestedSource]

    @property
    def resources(self) -> list[Resource]:
        """All resources, in a new list."""
        return [resource for _, group in self.resource_groups for resource in group]

    def add_output(self, folder: str, output: BuildOutput) -> None:
        """Adds what a folder was rendered to."""
        self.resource_groups.append((folder, output.resources))
        self.findings.extend(output.findings)
        self.gaps.extend(output.gaps)


def render_tree(
    tree: Tree,
    parsed_files: Sequence[ParsedFile],
    config: Config,
    jobs: int,
    on_progress: BuildProgress = lambda *_: None,
) -> RenderedTree:
    """Renders all files of a tree, on several threads; the result is in the same order every time.

    Args:
        on_progress: receives how many of how many builds are done.
    """
    inputs = collect_inputs(tree, parsed_files, config)
    rendered = _start(Builder(inputs))
    found, gaps = findings.check_files(parsed_files)
    rendered.findings.extend(found)
    rendered.gaps.extend(gaps)
    rendered.findings.extend(
        finding
        for parsed in inputs.plain_files
        # Most files have nothing but resources.
        if None in [document.head for document in parsed.documents]
        for finding in findings.find_missing_api_versions(parsed)
    )
    rendered.resource_groups.extend((file, inputs.plain_resources[file]) for file in inputs.unapplied_files)
    unused = build_units.find_unused_components(inputs.kustomizations, inputs.build_units, inputs.applied_folders)
    rendered.gaps.extend(
        Gap(inputs.kustomizations[folder].parsed_file.file, "a component that no kustomization uses: not built")
        for folder in unused
    )
    _render_units(rendered, on_progress)
    _render_charts(rendered, jobs, on_progress)
    rendered.gaps.extend(findings.find_unset_variables(rendered.resources))
    return rendered


def _start(builder: Builder) -> RenderedTree:
    """A tree of which nothing is rendered yet."""
    return RenderedTree(resource_groups=[], findings=[], gaps=[], builder=builder, target_namespaces={}, requests=[])


def _render_units(rendered: RenderedTree, on_progress: BuildProgress) -> None:
    """Builds all units; what a build shows to apply a folder counts for the builds after it."""
    builder, inputs = rendered.builder, rendered.builder.inputs
    kustomizations, files_by_path = inputs.kustomizations, inputs.files_by_path
    known = appliers.find_applied_folders(rendered.resources, inputs.tree, inputs.config_maps)
    done = 0
    for generation in build_units.order_units(inputs.build_units, kustomizations, inputs.applied_folders):
        applied = [build_units.find_appliers(unit, kustomizations, known) for unit in generation]
        for unit, entries in zip(generation, applied, strict=True):
            if namespaces := appliers.find_target_namespaces(entries):
                rendered.target_namespaces[unit.folder] = namespaces
        for unit, output in zip(generation, builder.build_units(generation, applied), strict=True):
            done += 1
            on_progress(done, len(inputs.build_units))
            rendered.add_output(unit.folder, output)
            # Where a unit could not be built, its files as they are written still show who applies what.
            files = build_units.list_files(unit, kustomizations) if output.gaps else ()
            written = [
                resource
                for file in files
                if file in files_by_path
                for resource in manifests.list_resources(files_by_path[file])
            ]
            shown = output.resources or written
            known.extend(appliers.find_applied_folders(shown, inputs.tree, inputs.config_maps))


def find_target_namespaces(rendered: RenderedTree, applying: Sequence[Resource]) -> dict[str, list[str]]:
    """The namespaces of `RenderedTree.target_namespaces`, where these Kustomizations and Applications count first.

    Args:
        applying: those of a cluster, which can be in no file.
    """
    inputs = rendered.builder.inputs
    folders = appliers.find_applied_folders(applying, inputs.tree, inputs.config_maps)
    namespaces = dict(rendered.target_namespaces)
    for name, _ in rendered.resource_groups if folders else ():
        folder = name.rpartition("/")[0] if name in inputs.files_by_path else name
        if entries := build_units.find_appliers(BuildUnit(folder), inputs.kustomizations, folders):
            namespaces[name] = appliers.find_target_namespaces(entries)
    return namespaces


def _render_charts(rendered: RenderedTree, jobs: int, on_progress: BuildProgress) -> None:
    """Renders all charts of the tree, once for each set of values."""
    builder, inputs = rendered.builder, rendered.builder.inputs
    inflated = {chart for part in inputs.kustomizations.values() for chart in part.local_charts}
    resources = rendered.resources
    # Without a release, no ConfigMap and no Secret is decoded.
    has_releases = any(resource.ref.kind == "HelmRelease" for resource in resources)
    sources = chart_uses.ChartSources(
        tree=inputs.tree,
        folders=inputs.chart_folders,
        files=inputs.files_by_path,
        values_objects=release_values.collect_values_objects(resources) if has_releases else {},
        objects=chart_requests.collect_source_objects(resources),
        locked=inputs.config.sources,
    )
    uses, gaps, found, requests = chart_uses.find_chart_uses(resources, sources, inflated)
    rendered.gaps.extend(gaps)
    rendered.findings.extend(found)
    rendered.requests.extend(requests)
    if not uses:
        return
    known = api_versions.collect_api_versions(resources)
    outputs = _build_charts(builder, [use.with_api_versions(known) for use in uses], jobs, on_progress)
    shown = api_versions.collect_api_versions(resource for output in outputs for resource in output.resources)
    if shown - known:
        # The CRDs of one chart decide what others render.
        again = [number for number, use in enumerate(uses) if builder.reads_api_versions(use)]
        changed = [uses[number].with_api_versions(known | shown) for number in again]
        for number, output in zip(again, _build_charts(builder, changed, jobs, on_progress), strict=True):
            outputs[number] = output
    for use, output in zip(uses, outputs, strict=True):
        rendered.add_output(use.chart if use.fetched is None else use.fetched.location.file, output)


def _build_charts(
    builder: Builder, uses: Sequence[ChartUse], jobs: int, on_progress: BuildProgress
) -> list[BuildOutput]:
    tasks = [partial(builder.build_chart, use, builder.inputs.config) for use in uses]
    outputs = []
    for output in _run_in_parallel(tasks, jobs):
        outputs.append(output)
        on_progress(len(outputs), len(uses))
    return outputs


def render_applied_folders(
    rendered: RenderedTree, applying: Sequence[Resource]
) -> Iterator[tuple[AppliedFolder, BuildOutput]]:
    """What each of these Kustomizations and Applications applies from a rendered tree; charts are not included.

    Nothing that was built for the tree is built again.

    Args:
        applying: the Kustomizations and Applications, from the tree or from a cluster.
    """
    inputs = add_appliers(rendered.builder.inputs, applying)
    builder = rendered.builder.with_inputs(inputs)
    folders = appliers.find_applied_folders(applying, inputs.tree, inputs.config_maps)
    units: list[list[BuildUnit]] = [[] for _ in folders]
    numbers = {id(folder): number for number, folder in enumerate(folders)}
    for unit in inputs.build_units:
        for folder in build_units.find_appliers(unit, inputs.kustomizations, folders):
            units[numbers[id(folder)]].append(unit)
    for folder, own_units in zip(folders, units, strict=True):
        output = BuildOutput([], [], [])
        for unit in own_units:
            built = builder.build_unit(unit, [folder])
            output.resources.extend(built.resources)
            output.findings.extend(built.findings)
            output.gaps.extend(built.gaps)
        yield folder, output


def render_repository(root: Path, config: Config) -> RenderedTree:
    """Reads and renders a whole repository without checking it; files that cannot be read are among the gaps."""
    jobs = os.cpu_count() or 1
    tree = build_tree([root], root, config.exclude, config.policies)
    parsed_files, unreadable = documents.parse_tree(tree, jobs)
    rendered = render_tree(tree, parsed_files, config, jobs)
    return rendered._replace(gaps=[*unreadable, *rendered.gaps])


def add_excluded_files(rendered: RenderedTree, jobs: int) -> tuple[RenderedTree, list[str]]:
    """The same rendering with inputs over all files of the repository, and the files that `files.exclude` leaves out.

    Controllers apply excluded files like any others, although they are not checked.
    """
    checked_inputs = rendered.builder.inputs
    if not checked_inputs.config.exclude:
        return rendered, []
    root = checked_inputs.tree.root
    tree = build_tree([root], root, ())
    excluded = sorted(set(tree.files).difference(checked_inputs.tree.files))
    if not excluded:
        return rendered, []
    parsed_files, _ = documents.parse_tree(tree, jobs)
    inputs = collect_inputs(tree, parsed_files, checked_inputs.config)
    return rendered._replace(builder=rendered.builder.with_inputs(inputs)), excluded


def read_chart(root: Path, config: Config, jobs: int) -> RenderedTree:
    """The inputs of a chart from a chart repository, of which nothing is rendered yet."""
    tree = build_tree([root], root, ())
    parsed_files, _ = documents.parse_tree(tree, jobs)
    return _start(Builder(collect_inputs(tree, parsed_files, config)))


def _run_in_parallel(tasks: Sequence[Callable[[], BuildOutput]], jobs: int) -> Iterator[BuildOutput]:
    """The results of the tasks in their order, each as soon as it is there."""
    if tasks:
        # It loads `logging`, and a change of single manifests has nothing to build.
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(lambda task: task(), tasks)
