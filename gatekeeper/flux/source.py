"""From the GitRepositories and Kustomizations of a cluster to what is to be applied: pulled, rendered, and judged."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from gatekeeper.apply.model import Asked
from gatekeeper.cluster import secret_values
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.config import Config
from gatekeeper.errors import GateError, ToolError
from gatekeeper.flux import substitution
from gatekeeper.flux.model import VERSIONS
from gatekeeper.flux.ownership import GROUP
from gatekeeper.gate import pipeline
from gatekeeper.host import lockfile, toolchain
from gatekeeper.host.memory_files import Handed
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import Resource, Verdict, at, distinct
from gatekeeper.render import appliers
from gatekeeper.render import pipeline as render_pipeline
from gatekeeper.repositories import git_fetch, git_repository_spec, git_transport, includes, provenance, signature
from gatekeeper.repositories import revision as repositories_revision
from gatekeeper.repositories.git_repository_spec import GitRepository, Include
from gatekeeper.repositories.includes import Included
from gatekeeper.repositories.provenance import Credit
from gatekeeper.repositories.revision import Revision
from gatekeeper.secret_value import Hidden
from gatekeeper.workspace import documents
from gatekeeper.workspace import tree as workspace_tree


class Source(NamedTuple):
    """A GitRepository of a cluster with the Kustomizations that apply what is in it; or why it cannot be followed."""

    value: Object
    repository: GitRepository | None
    kustomizations: Sequence[Object]
    fault: str = ""

    @property
    def name(self) -> str:
        """Namespace and name."""
        metadata = self.value["metadata"]
        return f"{metadata['namespace']}/{metadata['name']}"


def kept() -> Path:
    """The user's folder for what was pulled."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "gatekeeper" / "artifacts"


def found(cluster: Objects) -> list[Source]:
    """The sources of a cluster.

    Raises:
        ToolError: it knows no GitRepositories.
    """
    held = list(_listed(cluster, git_repository_spec.GROUP, git_repository_spec.VERSIONS, "GitRepository"))
    kustomizations = list(_listed(cluster, GROUP, VERSIONS, "Kustomization"))
    all_: list[Source] = []
    for value in held:
        own = [one for one in kustomizations if _source_of(one) == _name(value)]
        try:
            all_.append(Source(value, git_repository_spec.read(value), own))
        except FieldError as error:
            all_.append(Source(value, None, own, str(error)))
    return all_


def _listed(cluster: Objects, group: str, versions: Sequence[str], name: str) -> list[Object]:
    kind = cluster.newest(group, versions, name)
    if kind is None:
        raise ToolError(f"the cluster knows no {name} of {group}: install Flux's resource definitions")
    return [{**one, "kind": name} for one in cluster.list(kind)]


def _name(value: Object) -> tuple[str, str]:
    metadata = value["metadata"]
    return metadata["namespace"], metadata["name"]


def _source_of(kustomization: Object) -> tuple[str, str] | None:
    ref = at(kustomization, ("spec", "sourceRef")) or {}
    if ref.get("kind") != "GitRepository":
        return None
    return ref.get("namespace") or _name(kustomization)[0], str(ref.get("name"))


def revision_of(cluster: Objects, source: GitRepository) -> Revision:
    """Which commit a source means now: all that an unchanged one is asked.

    Raises:
        ToolError: the repository does not answer, or has none.
    """
    with closing(Handed()) as handed:
        way = _way(cluster, source, handed)
        return repositories_revision.resolve(source.ref, git_fetch.listed(source, way))


class Meant(NamedTuple):
    """What a source means now: a commit, and those of the repositories that it includes."""

    revision: Revision
    parts: tuple[tuple[Include, GitRepository, Revision], ...] = ()

    @property
    def state(self) -> list[str]:
        """All commits, as texts."""
        return [str(self.revision), *(f"{one.name}={revision}" for one, _, revision in self.parts)]


def meant(cluster: Objects, source: GitRepository) -> Meant:
    """Which commits a source means now: all that an unchanged one is asked.

    Raises:
        ToolError: a repository does not answer, has none, or is not there.
    """
    parts = []
    for one in source.include:
        kind = cluster.newest(git_repository_spec.GROUP, git_repository_spec.VERSIONS, "GitRepository")
        value = cluster.get(kind, source.namespace, one.name) if kind else None
        if value is None:
            raise ToolError(f"the GitRepository {source.namespace}/{one.name} that it includes is not there")
        try:
            other = git_repository_spec.read(value)
        except FieldError as error:
            raise ToolError(f"the GitRepository {source.namespace}/{one.name} that it includes: {error}") from None
        parts.append((one, other, revision_of(cluster, other)))
    return Meant(revision_of(cluster, source), tuple(parts))


class Pulled(NamedTuple):
    """The files of a commit, and whom it is owed to."""

    root: Path
    credit: Credit


def pulled(cluster: Objects, source: GitRepository, meant: Meant, folder: Path) -> Pulled:
    """The files of a commit with those that it includes, if each is signed as it must be.

    Raises:
        ToolError: one cannot be had, or is not signed by those who may.
    """
    parts = [Included(one, _pulled(cluster, other, revision, folder).root) for one, other, revision in meant.parts]
    own = _pulled(cluster, source, meant.revision, folder)
    return own._replace(root=includes.joined(own.root, parts))


def _pulled(cluster: Objects, source: GitRepository, revision: Revision, folder: Path) -> Pulled:
    with closing(Handed()) as handed:
        way = _way(cluster, source, handed)
        # What is left out of a commit hangs on the source, too.
        asked = (source.url, source.ignore, source.submodules, source.folders)
        root = folder / hashlib.sha256(repr(asked).encode()).hexdigest()[:16]
        mirror, signer = None, ""
        if source.verification is not None:
            root.mkdir(parents=True, exist_ok=True)
            mirror = git_fetch.mirrored(source, revision, way, root)
            keys = _secret(cluster, source, source.verification.secret)
            signer = signature.verified(source, revision, mirror, way, keys)
        files = git_fetch.checkout(source, revision, way, root, mirror)
        return Pulled(files, provenance.of(source, way, files, signer))


def _way(cluster: Objects, source: GitRepository, handed: Handed) -> git_transport.Way:
    keys, proxy = (_secret(cluster, source, name) for name in (source.secret, source.proxy))
    return git_transport.way(source.url, keys, handed, proxy)


def _secret(cluster: Objects, source: GitRepository, name: str) -> Mapping[str, Hidden]:
    if not name:
        return {}
    held = secret_values.secret(cluster, source.namespace, name)
    if held is None:
        raise ToolError(f"the Secret {source.namespace}/{name} of the GitRepository is not there")
    return held


class Judged(NamedTuple):
    """What the gate says of a repository, and what its Kustomizations apply."""

    verdict: Verdict
    asked: list[Asked]


def judged(
    root: Path, settings: Config, jobs: int, given: Sequence[Object] | None, cluster: Objects | None = None
) -> Judged:
    """What the gate says of a repository, the same as `gatekeeper check`; and of what is applied and stands in no file.

    Args:
        given: the Kustomizations of the cluster; None for those that stand in the repository.
        cluster: has the values that they substitute.
    """
    lost: dict[tuple[str, str], str] = {}
    secret: dict[tuple[str, str], tuple[Hidden, ...]] = {}
    if given is not None and cluster is not None:
        given, secret, lost = _filled(cluster, given)
    toolchain.follow(lockfile.load(root))
    tree, how = workspace_tree.gather([root], root, settings.exclude), pipeline.Asked(jobs)
    whole = pipeline.judge_all(tree, settings, how)
    lots = list(_lots(root, settings, jobs, given))
    verdict = pipeline.told(whole.verdict, None, whole.lost)
    if given is not None:
        # A Kustomization of the cluster may be another than in Git, and has values that stand nowhere else.
        ground = [resource for _, lot in whole.parts for resource in lot]
        known = {resource.json for resource in ground}
        others = [resource for _, lot in lots for resource in lot if resource.json not in known]
        if others:
            more = pipeline.judge_objects(tree, whole.sources, ground, others, settings, how)
            verdict = _joined(verdict, more, [one for several in secret.values() for one in several])
    return Judged(verdict, [_known(asked, secret, lost) for asked, _ in lots])


Name = tuple[str, str]


def _filled(
    cluster: Objects, given: Sequence[Object]
) -> tuple[list[Object], dict[Name, tuple[Hidden, ...]], dict[Name, str]]:
    """Kustomizations with the values of the cluster in them; which of those are secret; and which lack some."""
    whole: list[Object] = []
    secret: dict[Name, tuple[Hidden, ...]] = {}
    lost: dict[Name, str] = {}
    for one in given:
        name = _name(one)
        try:
            filled, secret[name] = substitution.filled(one, partial(secret_values.data, cluster, name[0]))
        except GateError as error:
            filled, lost[name] = one, str(error)
        whole.append(filled)
    return whole, secret, lost


def _known(asked: Asked, secret: Mapping[Name, tuple[Hidden, ...]], lost: Mapping[Name, str]) -> Asked:
    hide = secret.get(asked.name, ())
    reason = lost.get(asked.name) or substitution.masked(asked.lost, hide)
    return asked._replace(secret=hide, lost=reason)


def _joined(verdict: Verdict, more: Verdict, secret: Iterable[Hidden]) -> Verdict:
    covered = verdict.coverage
    # A policy may repeat what it refuses.
    told = [one._replace(message=substitution.masked(one.message, secret)) for one in more.findings]
    return verdict._replace(
        findings=distinct([*verdict.findings, *told]),
        coverage=covered._replace(skipped=tuple(sorted({*covered.skipped, *more.coverage.skipped}))),
    )


def asked(root: Path, settings: Config, jobs: int) -> list[Asked]:
    """What the Kustomizations of a repository apply from it."""
    return [asked for asked, _ in _lots(root, settings, jobs, None)]


def _lots(
    root: Path, settings: Config, jobs: int, given: Sequence[Object] | None
) -> Iterator[tuple[Asked, list[Resource]]]:
    # What is kept from the gate is applied nevertheless, and must not be taken away for being overlooked.
    tree = workspace_tree.gather([root], root, ())
    seen = set(workspace_tree.gather([root], root, settings.exclude).files if settings.exclude else tree.files)
    unjudged = [name for name in tree.files if name not in seen and name.endswith((".yaml", ".yml"))]
    read, _ = documents.read(tree, jobs)
    who: list[Resource] | None = None if given is None else [appliers.in_cluster(one) for one in given]
    found = set()
    for entry, (resources, _, gaps) in render_pipeline.by_applier(tree, read, settings, jobs, who):
        if entry.resource.ref.group != GROUP:
            continue
        lost = next((f"{gap.file}: {gap.reason}" for gap in gaps if gap.fatal), "")
        hidden = [name for name in unjudged if name.startswith(f"{entry.folder}/" if entry.folder else "")]
        if hidden and not lost:
            lost = f"{hidden[0]}: would be applied, and is kept from the gate by `files.exclude`"
        one = Asked(entry.resource.value, entry.folder, [resource.value for resource in resources], lost)
        found.add(one.name)
        yield one, resources
    for value in given or ():
        # A path that leads nowhere is no wish to delete all.
        if _name(value) not in found:
            path: Any = at(value, ("spec", "path"))
            yield Asked(value, "", (), f"`spec.path` {path} is no folder of the repository"), []
