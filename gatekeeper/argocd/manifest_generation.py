"""From the Applications of a cluster to what is to be applied: fetched, rendered, and judged."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from gatekeeper import config
from gatekeeper.argocd import repository_credentials
from gatekeeper.argocd.application_spec import (
    DEFAULT_ARGOCD_NAMESPACE,
    GROUP,
    Application,
    parse_application,
)
from gatekeeper.argocd.glob import matches
from gatekeeper.argocd.model import ApplicationBuild
from gatekeeper.argocd.source_spec import ApplicationSource
from gatekeeper.argocd.sync import namespace_creation
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.config import Config
from gatekeeper.gate import pipeline
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import Coverage, Resource, Verdict, deduplicate
from gatekeeper.render import appliers, argocd_source
from gatekeeper.render import pipeline as render_pipeline
from gatekeeper.repositories import git_fetch, git_transport, helm_repository, provenance, signature
from gatekeeper.repositories import revision as repositories_revision
from gatekeeper.repositories.git_repository_spec import GitReference, GitRepository, SignatureVerification
from gatekeeper.repositories.helm_repository import Chart
from gatekeeper.repositories.provenance import CommitProvenance
from gatekeeper.repositories.revision import Revision
from gatekeeper.workspace import documents
from gatekeeper.workspace import tree as workspace_tree
from gatekeeper.workspace.tree import Tree

TIMEOUT_SECONDS = 90.0
# The sources of an Application: of each its address, its revision, and the chart, which is empty for Git.
SourceSet = tuple[tuple[str, str, str], ...]


def source_set_of(application: Application) -> SourceSet:
    """What an Application is rendered from."""
    return tuple((one.url, one.revision, one.chart) for one in application.sources)


def _to_git_repository(url: str, target_revision: str) -> GitRepository:
    ref = (
        GitReference(commit=target_revision)
        if repositories_revision.FULL_COMMIT.fullmatch(target_revision)
        else GitReference(name=target_revision)
    )
    return GitRepository("", "", url, ref, timeout=TIMEOUT_SECONDS, is_whole=True)


def resolve_revision(
    cluster: DynamicClient, argocd_namespace: str, source_ref: tuple[str, str, str], project: str
) -> Revision:
    """Which commit a source means now: all that an unchanged one is asked.

    Args:
        argocd_namespace: the namespace of Argo CD's own objects.

    Raises:
        ToolError: the repository does not answer, or has none.
    """
    url, wanted, chart = source_ref
    keys = repository_credentials.find_credentials(cluster, argocd_namespace, url, project)
    if chart:
        version = helm_repository.resolve_version(Chart(url, chart, wanted), keys)
        return Revision("", version, version)
    with closing(MemoryFiles()) as handed:
        way = git_transport.build_transport(url, keys, handed)
        return repositories_revision.resolve_target_revision(
            wanted, git_fetch.list_refs(_to_git_repository(url, wanted), way)
        )


class FetchedSource(NamedTuple):
    """The files of a commit, and whom it is owed to."""

    root: Path
    provenance: CommitProvenance


def fetch_source(
    cluster: DynamicClient,
    argocd_namespace: str,
    source_ref: tuple[str, str, str],
    revision: Revision,
    project: str,
    storage: Path,
    signers: Sequence[str],
) -> FetchedSource:
    """The files of a commit, if it is signed as it must be.

    Args:
        signers: the keys of PGP by one of which it must be signed; none where it need not be.

    Raises:
        ToolError: it cannot be had, or is not signed by those who may.
    """
    url, wanted, chart = source_ref
    keys = repository_credentials.find_credentials(cluster, argocd_namespace, url, project)
    if chart:
        return FetchedSource(
            helm_repository.fetch_chart(Chart(url, chart, wanted), revision.commit, keys, storage), CommitProvenance()
        )
    with closing(MemoryFiles()) as handed:
        way = git_transport.build_transport(url, keys, handed)
        root = storage / hashlib.sha256(f"whole {url}".encode()).hexdigest()[:16]
        source, mirror, signer = _to_git_repository(url, revision.fetch_ref), None, ""
        if signers:
            root.mkdir(parents=True, exist_ok=True)
            mirror = git_fetch.fetch_mirror(source, revision, way, root)
            known = repository_credentials.read_signing_keys(cluster, argocd_namespace, signers)
            signer = signature.verify_signature(
                source._replace(verification=HEAD_VERIFICATION), revision, mirror, way, known
            )
        files = git_fetch.checkout_commit(source, revision, way, root, mirror)
        return FetchedSource(files, provenance.read_provenance(source, way, files, signer))


HEAD_VERIFICATION = SignatureVerification("HEAD", "")


class JudgedRepository(NamedTuple):
    """A commit, read and judged.

    Attributes:
        tree: all of it; what is kept from the gate is applied nevertheless, and must not be overlooked.
        excluded_files: what is kept from the gate.
        judged_resources: the resources that were judged, as JSON.
    """

    root: Path
    settings: Config
    tree: Tree
    render_inputs: render_pipeline.RenderInputs
    full_result: pipeline.FullResult
    excluded_files: frozenset[str]
    judged_resources: frozenset[bytes]


def _load_repository(root: Path, config_file: Path | None, jobs: int, is_chart: bool = False) -> JudgedRepository:
    settings = config.load(root, config_file)
    # Of a chart from elsewhere only that is judged which is made of it.
    seen = Tree(root, ()) if is_chart else workspace_tree.build_tree([root], root, settings.exclude)
    whole = pipeline.run_full_check(seen, settings, pipeline.CheckOptions(jobs))
    tree = workspace_tree.build_tree([root], root, ()) if settings.exclude or is_chart else seen
    found, _ = documents.parse_tree(tree, jobs)
    known = frozenset(resource.json for _, lot in whole.resource_groups for resource in lot)
    unjudged = frozenset() if is_chart else frozenset(tree.files) - frozenset(seen.files)
    return JudgedRepository(
        root, settings, tree, render_pipeline.collect_inputs(tree, found, settings), whole, unjudged, known
    )


class JudgedApplications(NamedTuple):
    """What the gate says of repositories and of what Applications make of them, and what these apply."""

    verdict: Verdict
    builds: list[ApplicationBuild]


def build_applications(
    roots: Sequence[Path],
    revisions: Sequence[str],
    application_specs: Sequence[tuple[Object, Application]],
    config_file: Path | None,
    jobs: int,
) -> JudgedApplications:
    """What the gate says, the same as `gatekeeper check` of each repository; and of what is applied and in no file.

    Args:
        roots: of the sources, in their order, the same for all Applications.
        revisions: the commits in them.
        config_file: judge by this instead of each repository's own config.

    Raises:
        GateError: a repository cannot be judged.
    """
    charts = (
        {root for root, one in zip(roots, application_specs[0][1].sources, strict=True) if one.chart}
        if application_specs
        else set()
    )
    repositories_ = {root: _load_repository(root, config_file, jobs, root in charts) for root in dict.fromkeys(roots)}
    # What is made of a chart is judged by the policies of a repository that lends it values, if there is one.
    first = next((root for root in roots if root not in charts), None)
    asked: list[ApplicationBuild] = []
    others: dict[Path, list[Resource]] = {root: [] for root in repositories_}
    for value, application in application_specs:
        one, lots = _build_application(value, application, [repositories_[root] for root in roots], revisions)
        asked.append(one)
        for repository, resources in lots:
            judge = first if first and repository.root in charts else repository.root
            others[judge] += [held for held in resources if held.json not in repository.judged_resources]
    verdicts = []
    for root, repository in repositories_.items():
        verdicts.append(repository.full_result.verdict)
        if others[root]:
            verdicts.append(_judge_rendered(repository, others[root], jobs))
    return JudgedApplications(_merge_verdicts(verdicts), asked)


class RepositoryApplications(NamedTuple):
    """Applications that stand in a repository, and what they apply from it; with those that cannot be followed."""

    verdict: Verdict
    builds: list[ApplicationBuild]
    errors: list[tuple[Object, str]]


def build_repository_applications(
    root: Path, config_file: Path | None, jobs: int, revision: str
) -> RepositoryApplications | None:
    """What the Applications of a repository apply, as if each of their sources were this repository; None without any.

    Args:
        config_file: judge by this instead of the repository's own config.
        revision: the commit, for people.

    Raises:
        GateError: the repository cannot be judged.
    """
    tree = workspace_tree.build_tree([root], root, ())
    if not any(GROUP.encode() in content for file in tree.files if isinstance(content := tree.read_file(file), bytes)):
        return None
    repository = _load_repository(root, config_file, jobs)
    found, faults = list[tuple[Object, Application]](), list[tuple[Object, str]]()
    for resource in (one for _, lot in repository.full_result.resource_groups for one in lot):
        if resource.ref.kind != "Application" or resource.ref.group != GROUP:
            continue
        value = resource.value
        value["metadata"].setdefault("namespace", DEFAULT_ARGOCD_NAMESPACE)
        try:
            found.append((value, parse_application(value)))
        except FieldError as error:
            faults.append((value, str(error)))
    if not found and not faults:
        return None
    asked, others = [], []
    for value, application in found:
        count = len(application.sources)
        one, lots = _build_application(value, application, [repository] * count, [revision] * count)
        asked.append(one)
        others += [held for _, resources in lots for held in resources if held.json not in repository.judged_resources]
    verdicts = [repository.full_result.verdict]
    if others:
        verdicts.append(_judge_rendered(repository, others, jobs))
    return RepositoryApplications(_merge_verdicts(verdicts), asked, faults)


def _judge_rendered(repository: JudgedRepository, resources: Sequence[Resource], jobs: int) -> Verdict:
    """What the gate says of what is applied and stands in no file."""
    ground = [resource for _, lot in repository.full_result.resource_groups for resource in lot]
    sources_ = repository.full_result.parsed_files
    return pipeline.check_objects(
        repository.tree, sources_, ground, resources, repository.settings, pipeline.CheckOptions(jobs)
    )


def _merge_verdicts(verdicts: Sequence[Verdict]) -> Verdict:
    first = verdicts[0]
    parts = [one.coverage for one in verdicts]
    counts = (
        sum(one.file_count for one in parts),
        sum(one.resource_count for one in parts),
        sum(one.checked_count for one in parts),
    )
    skipped = tuple(sorted({gap for one in parts for gap in one.gaps}))
    findings = deduplicate([finding for one in verdicts for finding in one.findings])
    return first._replace(findings=findings, coverage=Coverage(*counts, skipped))


RenderedSource = tuple[JudgedRepository, list[Resource]]


def _build_application(
    value: Object, application: Application, judged_repositories: Sequence[JudgedRepository], revisions: Sequence[str]
) -> tuple[ApplicationBuild, list[RenderedSource]]:
    """What an Application applies, by the repository that it comes from."""
    resource = appliers.build_cluster_resource(value)
    pairs = list(zip(application.sources, judged_repositories, strict=True))
    roots = {source.ref: repository.root for source, repository in pairs if source.ref}
    lots: list[RenderedSource] = []
    folders, types, lost = [], [], ""
    for source, repository in pairs:
        if not source.path and not source.chart:
            continue
        folder = _find_folder(source)
        built = argocd_source.render_source(
            repository.tree,
            repository.render_inputs,
            resource,
            source.field_path,
            folder,
            roots,
            repository.settings,
            matches,
        )
        folders.append(folder)
        types.append(argocd_source.detect_source_type(repository.tree, folder))
        lots.append((repository, built[0]))
        lost = lost or next((f"{gap.file}: {gap.reason}" for gap in built[2] if gap.is_fatal), "")
        lost = lost or _find_excluded(repository, folder)
    objects = [one.value for _, resources in lots for one in resources]
    if lots:
        # What labels a namespace gets is judged, too: they say what Pods may do there.
        lots[0][1].extend(map(appliers.build_cluster_resource, namespace_creation.build_namespaces(value, objects)))
    return ApplicationBuild(value, application, folders, objects, types, revisions, lost), lots


def _find_folder(source: ApplicationSource) -> str:
    if source.chart:
        return source.chart
    return source.path.strip("/").removeprefix("./").strip("/") if source.path not in (".", "./") else ""


def _find_excluded(repository: JudgedRepository, folder: str) -> str:
    start = f"{folder}/" if folder else ""
    names = sorted(
        name for name in repository.excluded_files if name.startswith(start) and name.endswith((".yaml", ".yml"))
    )
    return f"{names[0]}: would be applied, and is kept from the gate by `files.exclude`" if names else ""
