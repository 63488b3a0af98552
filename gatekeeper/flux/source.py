"""From the GitRepositories and Kustomizations of a cluster to what is to be applied: pulled, rendered, and judged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from gatekeeper.apply.model import ApplySet
from gatekeeper.cluster import secrets
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.config import Config
from gatekeeper.errors import GateError, ToolError
from gatekeeper.flux import dependencies, substitution
from gatekeeper.flux.ownership import GROUP
from gatekeeper.gate import pipeline
from gatekeeper.host.cache import user_cache_dir
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import Resource, Verdict, deduplicate, get_field
from gatekeeper.render import appliers
from gatekeeper.render import pipeline as render_pipeline
from gatekeeper.repositories import git_fetch, git_repository_spec, git_transport, includes, provenance, signature
from gatekeeper.repositories import revision as repositories_revision
from gatekeeper.repositories.git_repository_spec import GitRepository, RepositoryInclude
from gatekeeper.repositories.includes import IncludedCheckout
from gatekeeper.repositories.provenance import CommitProvenance
from gatekeeper.repositories.revision import Revision
from gatekeeper.secret_value import SecretBytes
from gatekeeper.workspace import documents
from gatekeeper.workspace import tree as workspace_tree


class TrackedSource(NamedTuple):
    """A GitRepository of a cluster with the Kustomizations that apply what is in it; or why it cannot be followed."""

    value: Object
    repository: GitRepository | None
    kustomizations: Sequence[Object]
    error: str = ""

    @property
    def name(self) -> str:
        """Namespace and name."""
        metadata = self.value["metadata"]
        return f"{metadata['namespace']}/{metadata['name']}"


def resolve_storage_folder() -> Path:
    """The user's folder for what was pulled."""
    return user_cache_dir() / "artifacts"


def list_sources(cluster: DynamicClient) -> list[TrackedSource]:
    """The sources of a cluster.

    Raises:
        ToolError: it knows no GitRepositories.
    """
    held = list(_list_objects(cluster, git_repository_spec.GROUP, git_repository_spec.VERSIONS, "GitRepository"))
    kustomizations = list(_list_objects(cluster, GROUP, dependencies.VERSIONS, dependencies.KIND))
    all_: list[TrackedSource] = []
    for value in held:
        own = [one for one in kustomizations if dependencies.source_of(one) == _name_of(value)]
        try:
            all_.append(TrackedSource(value, git_repository_spec.parse_git_repository(value), own))
        except FieldError as error:
            all_.append(TrackedSource(value, None, own, str(error)))
    return all_


def _list_objects(cluster: DynamicClient, group: str, versions: Sequence[str], kind_name: str) -> list[Object]:
    kind = cluster.find_newest_kind(group, versions, kind_name)
    if kind is None:
        raise ToolError(f"the cluster knows no {kind_name} of {group}: install Flux's resource definitions")
    return [{**one, "kind": kind_name} for one in cluster.list(kind)]


def _name_of(value: Object) -> tuple[str, str]:
    metadata = value["metadata"]
    return metadata["namespace"], metadata["name"]


def resolve_revision(cluster: DynamicClient, source: GitRepository) -> Revision:
    """Which commit a source means now: all that an unchanged one is asked.

    Raises:
        ToolError: the repository does not answer, or has none.
    """
    with closing(MemoryFiles()) as handed:
        way = _build_transport(cluster, source, handed)
        return repositories_revision.resolve_reference(source.ref, git_fetch.list_refs(source, way))


class SourceRevision(NamedTuple):
    """What a source means now: a commit, and those of the repositories that it includes."""

    revision: Revision
    includes: tuple[tuple[RepositoryInclude, GitRepository, Revision], ...] = ()

    @property
    def revisions(self) -> list[str]:
        """All commits, as texts."""
        return [str(self.revision), *(f"{one.repository_name}={revision}" for one, _, revision in self.includes)]


def resolve_source_revision(cluster: DynamicClient, source: GitRepository) -> SourceRevision:
    """Which commits a source means now: all that an unchanged one is asked.

    Raises:
        ToolError: a repository does not answer, has none, or is not there.
    """
    parts = []
    for one in source.includes:
        kind = cluster.find_newest_kind(git_repository_spec.GROUP, git_repository_spec.VERSIONS, "GitRepository")
        value = cluster.get(kind, source.namespace, one.repository_name) if kind else None
        if value is None:
            raise ToolError(f"the GitRepository {source.namespace}/{one.repository_name} that it includes is not there")
        try:
            other = git_repository_spec.parse_git_repository(value)
        except FieldError as error:
            raise ToolError(
                f"the GitRepository {source.namespace}/{one.repository_name} that it includes: {error}"
            ) from None
        parts.append((one, other, resolve_revision(cluster, other)))
    return SourceRevision(resolve_revision(cluster, source), tuple(parts))


class FetchedArtifact(NamedTuple):
    """The files of a commit, and whom it is owed to."""

    root: Path
    provenance: CommitProvenance


def fetch_artifact(
    cluster: DynamicClient, source: GitRepository, source_revision: SourceRevision, folder: Path
) -> FetchedArtifact:
    """The files of a commit with those that it includes, if each is signed as it must be.

    Raises:
        ToolError: one cannot be had, or is not signed by those who may.
    """
    parts = [
        IncludedCheckout(one, _fetch_revision(cluster, other, revision, folder).root)
        for one, other, revision in source_revision.includes
    ]
    own = _fetch_revision(cluster, source, source_revision.revision, folder)
    return own._replace(root=includes.merge_includes(own.root, parts))


def _fetch_revision(cluster: DynamicClient, source: GitRepository, revision: Revision, folder: Path) -> FetchedArtifact:
    with closing(MemoryFiles()) as handed:
        way = _build_transport(cluster, source, handed)
        # What is left out of a commit hangs on the source, too.
        asked = (source.url, source.ignore, source.has_submodules, source.sparse_folders)
        root = folder / hashlib.sha256(repr(asked).encode()).hexdigest()[:16]
        mirror, signer = None, ""
        if source.verification is not None:
            root.mkdir(parents=True, exist_ok=True)
            mirror = git_fetch.fetch_mirror(source, revision, way, root)
            keys = _read_secret(cluster, source, source.verification.secret_name)
            signer = signature.verify_signature(source, revision, mirror, way, keys)
        files = git_fetch.checkout_commit(source, revision, way, root, mirror)
        return FetchedArtifact(files, provenance.read_provenance(source, way, files, signer))


def _build_transport(cluster: DynamicClient, source: GitRepository, files: MemoryFiles) -> git_transport.GitTransport:
    keys, proxy = (_read_secret(cluster, source, name) for name in (source.secret_name, source.proxy_secret_name))
    return git_transport.build_transport(source.url, keys, files, proxy)


def _read_secret(cluster: DynamicClient, source: GitRepository, name: str) -> Mapping[str, SecretBytes]:
    if not name:
        return {}
    held = secrets.read_secret(cluster, source.namespace, name)
    if held is None:
        raise ToolError(f"the Secret {source.namespace}/{name} of the GitRepository is not there")
    return held


class JudgedKustomizations(NamedTuple):
    """What the gate says of a repository, and what its Kustomizations apply."""

    verdict: Verdict
    builds: list[ApplySet]


def build_kustomizations(
    root: Path,
    settings: Config,
    jobs: int,
    kustomizations: Sequence[Object] | None,
    cluster: DynamicClient | None = None,
) -> JudgedKustomizations:
    """What the gate says of a repository, the same as `gatekeeper check`; and of what is applied and stands in no file.

    Args:
        kustomizations: the Kustomizations of the cluster; None for those that stand in the repository.
        cluster: has the values that they substitute.
    """
    lost: dict[tuple[str, str], str] = {}
    secret: dict[tuple[str, str], tuple[SecretBytes, ...]] = {}
    if kustomizations is not None and cluster is not None:
        kustomizations, secret, lost = _inline_values(cluster, kustomizations)
    tree, how = workspace_tree.build_tree([root], root, settings.exclude), pipeline.CheckOptions(jobs)
    whole = pipeline.run_full_check(tree, settings, how)
    lots = list(_render_builds(root, settings, jobs, kustomizations))
    verdict = whole.verdict
    if kustomizations is not None:
        # A Kustomization of the cluster may be another than in Git, and has values that stand nowhere else.
        ground = [resource for _, lot in whole.resource_groups for resource in lot]
        known = {resource.json for resource in ground}
        others = [resource for _, lot in lots for resource in lot if resource.json not in known]
        if others:
            more = pipeline.check_objects(tree, whole.parsed_files, ground, others, settings, how)
            verdict = _merge_verdicts(verdict, more, [one for several in secret.values() for one in several])
    return JudgedKustomizations(verdict, [_attach_secrets(asked, secret, lost) for asked, _ in lots])


FluxName = tuple[str, str]


def _inline_values(
    cluster: DynamicClient, kustomizations: Sequence[Object]
) -> tuple[list[Object], dict[FluxName, tuple[SecretBytes, ...]], dict[FluxName, str]]:
    """Kustomizations with the values of the cluster in them; which of those are secret; and which lack some."""
    whole: list[Object] = []
    secret: dict[FluxName, tuple[SecretBytes, ...]] = {}
    lost: dict[FluxName, str] = {}
    for one in kustomizations:
        name = _name_of(one)
        try:
            filled, secret[name] = substitution.inline_values(one, partial(secrets.read_data, cluster, name[0]))
        except GateError as error:
            filled, lost[name] = one, str(error)
        whole.append(filled)
    return whole, secret, lost


def _attach_secrets(
    build: ApplySet, secrets: Mapping[FluxName, tuple[SecretBytes, ...]], errors: Mapping[FluxName, str]
) -> ApplySet:
    hide = secrets.get(build.name, ())
    reason = errors.get(build.name) or substitution.mask_secrets(build.render_error, hide)
    return build._replace(secret_values=hide, render_error=reason)


def _merge_verdicts(verdict: Verdict, additional: Verdict, secrets: Iterable[SecretBytes]) -> Verdict:
    covered = verdict.coverage
    # A policy may repeat what it refuses.
    told = [one._replace(message=substitution.mask_secrets(one.message, secrets)) for one in additional.findings]
    return verdict._replace(
        findings=deduplicate([*verdict.findings, *told]),
        coverage=covered._replace(gaps=tuple(sorted({*covered.gaps, *additional.coverage.gaps}))),
    )


def render_kustomizations(root: Path, settings: Config, jobs: int) -> list[ApplySet]:
    """What the Kustomizations of a repository apply from it."""
    return [asked for asked, _ in _render_builds(root, settings, jobs, None)]


def _render_builds(
    root: Path, settings: Config, jobs: int, kustomizations: Sequence[Object] | None
) -> Iterator[tuple[ApplySet, list[Resource]]]:
    # What is kept from the gate is applied nevertheless, and must not be taken away for being overlooked.
    tree = workspace_tree.build_tree([root], root, ())
    seen = set(workspace_tree.build_tree([root], root, settings.exclude).files if settings.exclude else tree.files)
    unjudged = [name for name in tree.files if name not in seen and name.endswith((".yaml", ".yml"))]
    read, _ = documents.parse_tree(tree, jobs)
    who: list[Resource] | None = (
        None if kustomizations is None else [appliers.build_cluster_resource(one) for one in kustomizations]
    )
    found = set()
    for entry, (resources, _, gaps) in render_pipeline.render_by_applier(tree, read, settings, jobs, who):
        if entry.applier.ref.group != GROUP:
            continue
        lost = next((f"{gap.file}: {gap.reason}" for gap in gaps if gap.is_fatal), "")
        hidden = [name for name in unjudged if name.startswith(f"{entry.folder}/" if entry.folder else "")]
        if hidden and not lost:
            lost = f"{hidden[0]}: would be applied, and is kept from the gate by `files.exclude`"
        one = ApplySet(
            entry.applier.value,
            entry.folder,
            [resource.value for resource in resources],
            lost,
            toolchain=settings.toolchain,
        )
        found.add(one.name)
        yield one, resources
    for value in kustomizations or ():
        # A path that leads nowhere is no wish to delete all.
        if _name_of(value) not in found:
            path: Any = get_field(value, ("spec", "path"))
            yield ApplySet(value, "", (), f"`spec.path` {path} is no folder of the repository"), []
