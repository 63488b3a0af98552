"""Fetches the GitRepositories of a cluster and lists the Kustomizations that apply from them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from gatekeeper.cluster import secrets
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import ToolError
from gatekeeper.flux import dependencies
from gatekeeper.flux.ownership import GROUP
from gatekeeper.host.cache import user_cache_dir
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import Object
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.repositories import git_fetch, git_repository_spec, git_transport, includes, provenance, signature
from gatekeeper.repositories import revision as repositories_revision
from gatekeeper.repositories.git_repository_spec import GitRepository, RepositoryInclude
from gatekeeper.repositories.includes import IncludedCheckout
from gatekeeper.repositories.provenance import CommitProvenance
from gatekeeper.repositories.revision import Revision
from gatekeeper.secret_value import SecretBytes


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
    git_repositories = list(
        _list_objects(cluster, git_repository_spec.GROUP, git_repository_spec.VERSIONS, "GitRepository")
    )
    kustomizations = list(_list_objects(cluster, GROUP, dependencies.VERSIONS, dependencies.KIND))
    all_: list[TrackedSource] = []
    for value in git_repositories:
        own = [
            kustomization
            for kustomization in kustomizations
            if dependencies.source_of(kustomization) == _name_of(value)
        ]
        try:
            all_.append(TrackedSource(value, git_repository_spec.parse_git_repository(value), own))
        except FieldError as error:
            all_.append(TrackedSource(value, None, own, str(error)))
    return all_


def _list_objects(cluster: DynamicClient, group: str, versions: Sequence[str], kind_name: str) -> list[Object]:
    kind = cluster.find_newest_kind(group, versions, kind_name)
    if kind is None:
        raise ToolError(f"the cluster does not serve {kind_name} of {group}: install Flux's CRDs")
    return [{**value, "kind": kind_name} for value in cluster.list(kind)]


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
        return [
            str(self.revision),
            *(f"{include.repository_name}={revision}" for include, _, revision in self.includes),
        ]


def resolve_source_revision(cluster: DynamicClient, source: GitRepository) -> SourceRevision:
    """Resolve the current commits of a source; this is the only request for an unchanged source.

    Raises:
        ToolError: a repository does not answer, has no commit, or does not exist.
    """
    parts = []
    for include in source.includes:
        kind = cluster.find_newest_kind(git_repository_spec.GROUP, git_repository_spec.VERSIONS, "GitRepository")
        value = cluster.get(kind, source.namespace, include.repository_name) if kind else None
        if value is None:
            raise ToolError(f"the included GitRepository {source.namespace}/{include.repository_name} was not found")
        try:
            other = git_repository_spec.parse_git_repository(value)
        except FieldError as error:
            raise ToolError(
                f"the GitRepository {source.namespace}/{include.repository_name} that it includes: {error}"
            ) from None
        parts.append((include, other, resolve_revision(cluster, other)))
    return SourceRevision(resolve_revision(cluster, source), tuple(parts))


class FetchedArtifact(NamedTuple):
    """The files of a commit, and its provenance."""

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
        IncludedCheckout(include, _fetch_revision(cluster, other, revision, folder).root)
        for include, other, revision in source_revision.includes
    ]
    own = _fetch_revision(cluster, source, source_revision.revision, folder)
    return own._replace(root=includes.merge_includes(own.root, parts))


def _fetch_revision(cluster: DynamicClient, source: GitRepository, revision: Revision, folder: Path) -> FetchedArtifact:
    with closing(MemoryFiles()) as handed:
        way = _build_transport(cluster, source, handed)
        # The source also determines which files of a commit are left out.
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
    secret = secrets.read_secret(cluster, source.namespace, name)
    if secret is None:
        raise ToolError(f"the Secret {source.namespace}/{name} of the GitRepository was not found")
    return secret
