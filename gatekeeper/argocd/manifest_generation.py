"""The objects that Argo CD Applications apply from their repositories, rendered and checked once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gatekeeper.argocd.application_spec import (
    DEFAULT_ARGOCD_NAMESPACE,
    GROUP,
    Application,
    parse_application,
)
from gatekeeper.argocd.glob import matches
from gatekeeper.argocd.model import ApplicationBuild, ApplicationSpec, CheckedApplications
from gatekeeper.argocd.source_spec import ApplicationSource
from gatekeeper.argocd.sync import namespace_creation
from gatekeeper.gate import pipeline
from gatekeeper.gate.pipeline import CheckOptions, FullResult
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import Object, Resource, Verdict
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.render import appliers, argocd_source
from gatekeeper.render import pipeline as render_pipeline
from gatekeeper.render.argocd_source import SourceTarget
from gatekeeper.render.pipeline import RenderedTree
from gatekeeper.workspace import config_loader
from gatekeeper.workspace.tree import Tree


class SourceRepository(NamedTuple):
    """A commit or chart that Applications are rendered from.

    Attributes:
        rendered: what it was rendered to, with inputs over all of its files.
        excluded_files: what `files.exclude` keeps from the gate.
        is_chart: whether it is a chart from a chart repository.
    """

    root: Path
    rendered: RenderedTree
    excluded_files: Sequence[str] = ()
    is_chart: bool = False


class SourceOutput(NamedTuple):
    """What an Application applies from one repository.

    Attributes:
        namespace: where objects go that name none.
    """

    repository: SourceRepository
    resources: Sequence[Resource]
    namespace: str


def check_applications(
    roots: Sequence[Path],
    revisions: Sequence[str],
    applications: Sequence[ApplicationSpec],
    config_file: Path | None = None,
) -> CheckedApplications:
    """What Applications of a cluster apply, and the same verdict on each repository as `gatekeeper check`.

    Args:
        roots: the checkouts of the sources, in their order, the same for all Applications.
        revisions: the commits in them.
        config_file: used instead of each repository's own config; None for those.

    Raises:
        GatekeeperError: a repository cannot be checked.
    """
    jobs = os.cpu_count() or 1
    sources = applications[0][1].sources if applications else ()
    charts = {root for root, source in zip(roots, sources, strict=True) if source.chart} if sources else set()
    applying = [appliers.build_cluster_resource(manifest) for manifest, _ in applications]
    checked = {
        root: _check_chart(root, config_file, jobs)
        if root in charts
        else _check_root(root, config_file, jobs, applying)
        for root in dict.fromkeys(roots)
    }
    # The policies of the repository that provides the values apply to the rendered chart.
    first = next((root for root in roots if root not in charts), None)
    builds: list[ApplicationBuild] = []
    applied: dict[Path, dict[str, list[Resource]]] = {root: {} for root in checked}
    for manifest, application in applications:
        repositories = [checked[root][1] for root in roots]
        build, outputs = _build_application(manifest, application, repositories, revisions)
        builds.append(build)
        for output in outputs:
            checked_root = first if first and output.repository.is_chart else output.repository.root
            applied[checked_root].setdefault(output.namespace, []).extend(output.resources)
    verdicts = [
        verdict
        for root, (result, _) in checked.items()
        for verdict in (result.verdict, pipeline.check_additional_resources(result, applied[root], jobs))
    ]
    return CheckedApplications(verdicts[0].merge(*verdicts[1:]), builds)


def _check_root(
    root: Path, config_file: Path | None, jobs: int, applying: Sequence[Resource]
) -> tuple[FullResult, SourceRepository]:
    result = pipeline.check_and_render_repository(root, config_loader.load(root, config_file), jobs, applying)
    rendered, excluded = render_pipeline.add_excluded_files(result.rendered, jobs)
    return result, SourceRepository(root, rendered, excluded)


def _check_chart(root: Path, config_file: Path | None, jobs: int) -> tuple[FullResult, SourceRepository]:
    """Check only the rendered objects of a chart that comes from a chart repository."""
    settings = config_loader.load(root, config_file)
    chart = render_pipeline.read_chart(root, settings, jobs)
    result = pipeline.check_and_render_tree(Tree(root, ()), settings, CheckOptions(jobs))
    return result._replace(tree=chart.builder.inputs.tree), SourceRepository(root, chart, is_chart=True)


class RepositoryApplications(NamedTuple):
    """The Applications in the files of a repository, and what they apply from it.

    Attributes:
        errors: Applications that cannot be read, and why.
    """

    builds: list[ApplicationBuild]
    errors: list[tuple[Object, str]]
    outputs: list[SourceOutput]


def build_repository_applications(rendered: RenderedTree, revision: str, jobs: int) -> RepositoryApplications | None:
    """The objects that the Applications in a repository apply, as if it were each of their sources; None without any.

    Args:
        revision: the commit, for messages.
    """
    manifests = [
        resource.value
        for resource in rendered.resources
        if (resource.ref.group, resource.ref.kind) == (GROUP, "Application")
    ]
    if not manifests:
        return None
    complete, excluded = render_pipeline.add_excluded_files(rendered, jobs)
    repository = SourceRepository(complete.builder.inputs.tree.root, complete, excluded)
    result = RepositoryApplications([], [], [])
    for manifest in manifests:
        manifest["metadata"].setdefault("namespace", DEFAULT_ARGOCD_NAMESPACE)
        try:
            application = parse_application(manifest)
        except FieldError as error:
            result.errors.append((manifest, str(error)))
            continue
        count = len(application.sources)
        build, outputs = _build_application(manifest, application, [repository] * count, [revision] * count)
        result.builds.append(build)
        result.outputs.extend(outputs)
    return result


def check_repository_applications(result: FullResult, applications: RepositoryApplications, jobs: int) -> Verdict:
    """The verdict on a repository and on what its Applications apply.

    Args:
        result: the checked repository.
    """
    applied: dict[str, list[Resource]] = {}
    for output in applications.outputs:
        applied.setdefault(output.namespace, []).extend(output.resources)
    return result.verdict.merge(pipeline.check_additional_resources(result, applied, jobs))


def _build_application(
    manifest: Object, application: Application, repositories: Sequence[SourceRepository], revisions: Sequence[str]
) -> tuple[ApplicationBuild, list[SourceOutput]]:
    """The objects of an Application, and the resources to check by the repository that they come from."""
    resource = appliers.build_cluster_resource(manifest)
    pairs = list(zip(application.sources, repositories, strict=True))
    ref_roots = {source.ref: repository.root for source, repository in pairs if source.ref}
    outputs: list[SourceOutput] = []
    folders, types, error = [], [], ""
    for source, repository in pairs:
        if not source.path and not source.chart:
            continue
        folder = _find_folder(source)
        target = SourceTarget(resource, source.field_path, folder, ref_roots)
        built = argocd_source.render_source(repository.rendered.builder, target, matches)
        folders.append(folder)
        types.append(appliers.detect_source_type(repository.rendered.builder.inputs.tree, folder))
        outputs.append(SourceOutput(repository, built.resources, application.destination.namespace))
        error = error or next((f"{gap.file}: {gap.reason}" for gap in built.gaps if gap.is_fatal), "")
        error = error or _find_excluded(repository, folder)
    objects = [resource.value for output in outputs for resource in output.resources]
    build = ApplicationBuild(
        manifest=manifest,
        application=application,
        folders=folders,
        objects=objects,
        source_types=types,
        revisions=revisions,
        render_error=error,
    )
    # The labels of a Namespace restrict its Pods, so a Namespace that the sync creates is checked, too.
    namespaces = [
        appliers.build_cluster_resource(value) for value in namespace_creation.build_namespaces(manifest, objects)
    ]
    if outputs and namespaces:
        outputs[0] = outputs[0]._replace(resources=[*outputs[0].resources, *namespaces])
    return build, outputs


def _find_folder(source: ApplicationSource) -> str:
    if source.chart:
        return source.chart
    return source.path.strip("/").removeprefix("./").strip("/") if source.path not in (".", "./") else ""


def _find_excluded(repository: SourceRepository, folder: str) -> str:
    start = f"{folder}/" if folder else ""
    files = [file for file in repository.excluded_files if file.startswith(start) and file.endswith((".yaml", ".yml"))]
    return f"{files[0]}: would be applied, but `files.exclude` keeps it from the gate" if files else ""
