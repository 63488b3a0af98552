"""From the Applications of a cluster to what is to be applied: fetched, rendered, and judged."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from gatekeeper import config
from gatekeeper.argocd import repository_credentials
from gatekeeper.argocd.application_spec import GROUP, HOME, Application, Source, read
from gatekeeper.argocd.glob import matches
from gatekeeper.argocd.model import Asked
from gatekeeper.argocd.sync import namespace_creation
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.config import Config
from gatekeeper.gate import pipeline
from gatekeeper.host import lockfile, toolchain
from gatekeeper.host.memory_files import Handed
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import Coverage, Resource, Verdict, distinct
from gatekeeper.render import appliers, argocd_source
from gatekeeper.render import pipeline as render_pipeline
from gatekeeper.repositories import git_fetch, git_transport, helm_repository, provenance, signature
from gatekeeper.repositories import revision as repositories_revision
from gatekeeper.repositories.git_repository_spec import GitRepository, Ref, Verification
from gatekeeper.repositories.helm_repository import Chart
from gatekeeper.repositories.provenance import Credit
from gatekeeper.repositories.revision import Revision
from gatekeeper.workspace import documents
from gatekeeper.workspace import tree as workspace_tree
from gatekeeper.workspace.tree import Tree

SECONDS = 90.0
# The sources of an Application: of each its address, its revision, and the chart, which is empty for Git.
Origin = tuple[tuple[str, str, str], ...]


def origin_of(application: Application) -> Origin:
    """What an Application is rendered from."""
    return tuple((one.url, one.revision, one.chart) for one in application.sources)


def _repository(url: str, revision: str) -> GitRepository:
    ref = Ref(commit=revision) if repositories_revision.COMMIT.fullmatch(revision) else Ref(name=revision)
    return GitRepository("", "", url, ref, timeout=SECONDS, is_whole=True)


def revision_of(cluster: Objects, home: str, source: tuple[str, str, str], project: str) -> Revision:
    """Which commit a source means now: all that an unchanged one is asked.

    Args:
        home: the namespace of Argo CD's own objects.

    Raises:
        ToolError: the repository does not answer, or has none.
    """
    url, wanted, chart = source
    keys = repository_credentials.credentials(cluster, home, url, project)
    if chart:
        version = helm_repository.resolved(Chart(url, chart, wanted), keys)
        return Revision("", version, version)
    with closing(Handed()) as handed:
        way = git_transport.way(url, keys, handed)
        return repositories_revision.targeted(wanted, git_fetch.listed(_repository(url, wanted), way))


class Fetched(NamedTuple):
    """The files of a commit, and whom it is owed to."""

    root: Path
    credit: Credit


def fetched(
    cluster: Objects,
    home: str,
    asked: tuple[str, str, str],
    revision: Revision,
    project: str,
    storage: Path,
    signers: Sequence[str],
) -> Fetched:
    """The files of a commit, if it is signed as it must be.

    Args:
        signers: the keys of PGP by one of which it must be signed; none where it need not be.

    Raises:
        ToolError: it cannot be had, or is not signed by those who may.
    """
    url, wanted, chart = asked
    keys = repository_credentials.credentials(cluster, home, url, project)
    if chart:
        return Fetched(helm_repository.pulled(Chart(url, chart, wanted), revision.commit, keys, storage), Credit())
    with closing(Handed()) as handed:
        way = git_transport.way(url, keys, handed)
        root = storage / hashlib.sha256(f"whole {url}".encode()).hexdigest()[:16]
        source, mirror, signer = _repository(url, revision.fetched), None, ""
        if signers:
            root.mkdir(parents=True, exist_ok=True)
            mirror = git_fetch.mirrored(source, revision, way, root)
            known = repository_credentials.signing_keys(cluster, home, signers)
            signer = signature.verified(source._replace(verification=SIGNED), revision, mirror, way, known)
        files = git_fetch.checkout(source, revision, way, root, mirror)
        return Fetched(files, provenance.of(source, way, files, signer))


SIGNED = Verification("HEAD", "")


class Repository(NamedTuple):
    """A commit, read and judged.

    Attributes:
        tree: all of it; what is kept from the gate is applied nevertheless, and must not be overlooked.
        unjudged: what is kept from the gate.
        known: the resources that were judged, as JSON.
    """

    root: Path
    settings: Config
    tree: Tree
    base: render_pipeline.Ground
    whole: pipeline.Whole
    unjudged: frozenset[str]
    known: frozenset[bytes]


def _read(root: Path, own: Path | None, jobs: int, is_chart: bool = False) -> Repository:
    settings = config.load(root, own)
    toolchain.follow(lockfile.load(root))
    # Of a chart from elsewhere only that is judged which is made of it.
    seen = Tree(root, ()) if is_chart else workspace_tree.gather([root], root, settings.exclude)
    whole = pipeline.judge_all(seen, settings, pipeline.Asked(jobs))
    tree = workspace_tree.gather([root], root, ()) if settings.exclude or is_chart else seen
    found, _ = documents.read(tree, jobs)
    known = frozenset(resource.json for _, lot in whole.parts for resource in lot)
    unjudged = frozenset() if is_chart else frozenset(tree.files) - frozenset(seen.files)
    return Repository(root, settings, tree, render_pipeline.ground(tree, found, settings), whole, unjudged, known)


class Judged(NamedTuple):
    """What the gate says of repositories and of what Applications make of them, and what these apply."""

    verdict: Verdict
    asked: list[Asked]


def judged(
    roots: Sequence[Path],
    revisions: Sequence[str],
    given: Sequence[tuple[Object, Application]],
    own: Path | None,
    jobs: int,
) -> Judged:
    """What the gate says, the same as `gatekeeper check` of each repository; and of what is applied and in no file.

    Args:
        roots: of the sources, in their order, the same for all Applications.
        revisions: the commits in them.
        own: judge by this instead of each repository's own config.

    Raises:
        GateError: a repository cannot be judged.
    """
    charts = {root for root, one in zip(roots, given[0][1].sources, strict=True) if one.chart} if given else set()
    repositories_ = {root: _read(root, own, jobs, root in charts) for root in dict.fromkeys(roots)}
    # What is made of a chart is judged by the policies of a repository that lends it values, if there is one.
    first = next((root for root in roots if root not in charts), None)
    asked: list[Asked] = []
    others: dict[Path, list[Resource]] = {root: [] for root in repositories_}
    for value, application in given:
        one, lots = _asked(value, application, [repositories_[root] for root in roots], revisions)
        asked.append(one)
        for repository, resources in lots:
            judge = first if first and repository.root in charts else repository.root
            others[judge] += [held for held in resources if held.json not in repository.known]
    verdicts = []
    for root, repository in repositories_.items():
        verdicts.append(pipeline.told(repository.whole.verdict, None, repository.whole.lost))
        if others[root]:
            verdicts.append(_others(repository, others[root], jobs))
    return Judged(_joined(verdicts), asked)


class Local(NamedTuple):
    """Applications that stand in a repository, and what they apply from it; with those that cannot be followed."""

    verdict: Verdict
    asked: list[Asked]
    faults: list[tuple[Object, str]]


def local(root: Path, own: Path | None, jobs: int, revision: str) -> Local | None:
    """What the Applications of a repository apply, as if each of their sources were this repository; None without any.

    Args:
        own: judge by this instead of the repository's own config.
        revision: the commit, for people.

    Raises:
        GateError: the repository cannot be judged.
    """
    tree = workspace_tree.gather([root], root, ())
    if not any(GROUP.encode() in content for file in tree.files if isinstance(content := tree.read(file), bytes)):
        return None
    repository = _read(root, own, jobs)
    found, faults = list[tuple[Object, Application]](), list[tuple[Object, str]]()
    for resource in (one for _, lot in repository.whole.parts for one in lot):
        if resource.ref.kind != "Application" or resource.ref.group != GROUP:
            continue
        value = resource.value
        value["metadata"].setdefault("namespace", HOME)
        try:
            found.append((value, read(value)))
        except FieldError as error:
            faults.append((value, str(error)))
    if not found and not faults:
        return None
    asked, others = [], []
    for value, application in found:
        count = len(application.sources)
        one, lots = _asked(value, application, [repository] * count, [revision] * count)
        asked.append(one)
        others += [held for _, resources in lots for held in resources if held.json not in repository.known]
    verdicts = [pipeline.told(repository.whole.verdict, None, repository.whole.lost)]
    if others:
        verdicts.append(_others(repository, others, jobs))
    return Local(_joined(verdicts), asked, faults)


def _others(repository: Repository, resources: Sequence[Resource], jobs: int) -> Verdict:
    """What the gate says of what is applied and stands in no file."""
    ground = [resource for _, lot in repository.whole.parts for resource in lot]
    sources_ = repository.whole.sources
    return pipeline.judge_objects(
        repository.tree, sources_, ground, resources, repository.settings, pipeline.Asked(jobs)
    )


def _joined(verdicts: Sequence[Verdict]) -> Verdict:
    first = verdicts[0]
    parts = [one.coverage for one in verdicts]
    counts = (sum(one.files for one in parts), sum(one.resources for one in parts), sum(one.checked for one in parts))
    skipped = tuple(sorted({gap for one in parts for gap in one.skipped}))
    findings = distinct([finding for one in verdicts for finding in one.findings])
    return first._replace(findings=findings, coverage=Coverage(*counts, skipped))


Lot = tuple[Repository, list[Resource]]


def _asked(
    value: Object, application: Application, repositories_: Sequence[Repository], revisions: Sequence[str]
) -> tuple[Asked, list[Lot]]:
    """What an Application applies, by the repository that it comes from."""
    resource = appliers.in_cluster(value)
    pairs = list(zip(application.sources, repositories_, strict=True))
    roots = {source.ref: repository.root for source, repository in pairs if source.ref}
    lots: list[Lot] = []
    folders, types, lost = [], [], ""
    for source, repository in pairs:
        if not source.path and not source.chart:
            continue
        folder = _folder(source)
        built = argocd_source.rendered(
            repository.tree, repository.base, resource, source.where, folder, roots, repository.settings, matches
        )
        folders.append(folder)
        types.append(argocd_source.kind_of(repository.tree, folder))
        lots.append((repository, built[0]))
        lost = lost or next((f"{gap.file}: {gap.reason}" for gap in built[2] if gap.fatal), "")
        lost = lost or _hidden(repository, folder)
    objects = [one.value for _, resources in lots for one in resources]
    if lots:
        # What labels a namespace gets is judged, too: they say what Pods may do there.
        lots[0][1].extend(map(appliers.in_cluster, namespace_creation.space(value, objects)))
    return Asked(value, application, folders, objects, types, revisions, lost), lots


def _folder(source: Source) -> str:
    if source.chart:
        return source.chart
    return source.path.strip("/").removeprefix("./").strip("/") if source.path not in (".", "./") else ""


def _hidden(repository: Repository, folder: str) -> str:
    start = f"{folder}/" if folder else ""
    names = sorted(name for name in repository.unjudged if name.startswith(start) and name.endswith((".yaml", ".yml")))
    return f"{names[0]}: would be applied, and is kept from the gate by `files.exclude`" if names else ""
