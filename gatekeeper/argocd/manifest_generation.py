"""From the Applications of a cluster to what is to be applied: fetched, rendered, and judged."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from gatekeeper import config, documents, gate, lock, sources, tools
from gatekeeper.applications import repositories, spaces
from gatekeeper.applications.globs import matches
from gatekeeper.applications.model import Asked
from gatekeeper.applications.reading import GROUP, HOME, Application, Source, read
from gatekeeper.artifacts import charting, crediting, fetching, resolving, verifying, ways
from gatekeeper.artifacts.charting import Chart
from gatekeeper.artifacts.crediting import Credit
from gatekeeper.artifacts.reading import GitRepository, Ref, Verification
from gatekeeper.artifacts.resolving import Revision
from gatekeeper.cluster.objects import Object, Objects
from gatekeeper.config import Config
from gatekeeper.fields import FieldError
from gatekeeper.model import Coverage, Resource, Verdict, distinct
from gatekeeper.render import applications, applied, every
from gatekeeper.sources import Tree
from gatekeeper.stores.handed import Handed

SECONDS = 90.0
# The sources of an Application: of each its address, its revision, and the chart, which is empty for Git.
Origin = tuple[tuple[str, str, str], ...]


def origin_of(application: Application) -> Origin:
    """What an Application is rendered from."""
    return tuple((one.url, one.revision, one.chart) for one in application.sources)


def _repository(url: str, revision: str) -> GitRepository:
    ref = Ref(commit=revision) if resolving.COMMIT.fullmatch(revision) else Ref(name=revision)
    return GitRepository("", "", url, ref, timeout=SECONDS, is_whole=True)


def revision_of(cluster: Objects, home: str, source: tuple[str, str, str], project: str) -> Revision:
    """Which commit a source means now: all that an unchanged one is asked.

    Args:
        home: the namespace of Argo CD's own objects.

    Raises:
        ToolError: the repository does not answer, or has none.
    """
    url, wanted, chart = source
    keys = repositories.credentials(cluster, home, url, project)
    if chart:
        version = charting.resolved(Chart(url, chart, wanted), keys)
        return Revision("", version, version)
    with closing(Handed()) as handed:
        way = ways.way(url, keys, handed)
        return resolving.targeted(wanted, fetching.listed(_repository(url, wanted), way))


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
    keys = repositories.credentials(cluster, home, url, project)
    if chart:
        return Fetched(charting.pulled(Chart(url, chart, wanted), revision.commit, keys, storage), Credit())
    with closing(Handed()) as handed:
        way = ways.way(url, keys, handed)
        root = storage / hashlib.sha256(f"whole {url}".encode()).hexdigest()[:16]
        source, mirror, signer = _repository(url, revision.fetched), None, ""
        if signers:
            root.mkdir(parents=True, exist_ok=True)
            mirror = fetching.mirrored(source, revision, way, root)
            known = repositories.signing_keys(cluster, home, signers)
            signer = verifying.verified(source._replace(verification=SIGNED), revision, mirror, way, known)
        files = fetching.checkout(source, revision, way, root, mirror)
        return Fetched(files, crediting.of(source, way, files, signer))


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
    base: every.Ground
    whole: gate.Whole
    unjudged: frozenset[str]
    known: frozenset[bytes]


def _read(root: Path, own: Path | None, jobs: int, is_chart: bool = False) -> Repository:
    settings = config.load(root, own)
    tools.follow(lock.load(root))
    # Of a chart from elsewhere only that is judged which is made of it.
    seen = Tree(root, ()) if is_chart else sources.gather([root], root, settings.exclude)
    whole = gate.judge_all(seen, settings, gate.Asked(jobs))
    tree = sources.gather([root], root, ()) if settings.exclude or is_chart else seen
    found, _ = documents.read(tree, jobs)
    known = frozenset(resource.json for _, lot in whole.parts for resource in lot)
    unjudged = frozenset() if is_chart else frozenset(tree.files) - frozenset(seen.files)
    return Repository(root, settings, tree, every.ground(tree, found, settings), whole, unjudged, known)


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
        verdicts.append(gate.told(repository.whole.verdict, None, repository.whole.lost))
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
    tree = sources.gather([root], root, ())
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
    verdicts = [gate.told(repository.whole.verdict, None, repository.whole.lost)]
    if others:
        verdicts.append(_others(repository, others, jobs))
    return Local(_joined(verdicts), asked, faults)


def _others(repository: Repository, resources: Sequence[Resource], jobs: int) -> Verdict:
    """What the gate says of what is applied and stands in no file."""
    ground = [resource for _, lot in repository.whole.parts for resource in lot]
    sources_ = repository.whole.sources
    return gate.judge_objects(repository.tree, sources_, ground, resources, repository.settings, gate.Asked(jobs))


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
    resource = applied.in_cluster(value)
    pairs = list(zip(application.sources, repositories_, strict=True))
    roots = {source.ref: repository.root for source, repository in pairs if source.ref}
    lots: list[Lot] = []
    folders, types, lost = [], [], ""
    for source, repository in pairs:
        if not source.path and not source.chart:
            continue
        folder = _folder(source)
        built = applications.rendered(
            repository.tree, repository.base, resource, source.where, folder, roots, repository.settings, matches
        )
        folders.append(folder)
        types.append(applications.kind_of(repository.tree, folder))
        lots.append((repository, built[0]))
        lost = lost or next((f"{gap.file}: {gap.reason}" for gap in built[2] if gap.fatal), "")
        lost = lost or _hidden(repository, folder)
    objects = [one.value for _, resources in lots for one in resources]
    if lots:
        # What labels a namespace gets is judged, too: they say what Pods may do there.
        lots[0][1].extend(map(applied.in_cluster, spaces.space(value, objects)))
    return Asked(value, application, folders, objects, types, revisions, lost), lots


def _folder(source: Source) -> str:
    if source.chart:
        return source.chart
    return source.path.strip("/").removeprefix("./").strip("/") if source.path not in (".", "./") else ""


def _hidden(repository: Repository, folder: str) -> str:
    start = f"{folder}/" if folder else ""
    names = sorted(name for name in repository.unjudged if name.startswith(start) and name.endswith((".yaml", ".yml")))
    return f"{names[0]}: would be applied, and is kept from the gate by `files.exclude`" if names else ""
