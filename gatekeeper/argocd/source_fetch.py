"""Fetches the sources of Argo CD Applications: commits of Git repositories, and versions of Helm charts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from gatekeeper.argocd import repository_credentials
from gatekeeper.argocd.application_spec import Application
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.repositories import git_fetch, git_transport, helm_repository, provenance, signature
from gatekeeper.repositories import revision as repositories_revision
from gatekeeper.repositories.git_repository_spec import GitReference, GitRepository, SignatureVerification
from gatekeeper.repositories.helm_repository import Chart
from gatekeeper.repositories.provenance import CommitProvenance
from gatekeeper.repositories.revision import Revision

TIMEOUT_SECONDS = 90.0
HEAD_VERIFICATION = SignatureVerification("HEAD", "")


class SourceReference(NamedTuple):
    """One source of an Application, as it is written.

    Attributes:
        target_revision: a branch, a tag, a commit, or the version range of a chart.
        chart: the name of the chart; empty for a Git repository.
    """

    url: str
    target_revision: str
    chart: str


# All sources of an Application.
SourceSet = tuple[SourceReference, ...]


class SourceAccess(NamedTuple):
    """How the sources of one project are fetched.

    Attributes:
        cluster: has the credentials.
        argocd_namespace: the namespace of Argo CD's own objects.
        storage_dir: where checkouts are kept.
        signers: IDs of the PGP keys of which one must have signed each commit; empty if commits need no signature.
    """

    cluster: DynamicClient
    argocd_namespace: str
    project: str
    storage_dir: Path
    signers: Sequence[str] = ()


class FetchedSource(NamedTuple):
    """The files of a commit or chart, and who wrote and signed the commit."""

    root: Path
    provenance: CommitProvenance


def list_source_references(application: Application) -> SourceSet:
    """The sources that an Application is rendered from."""
    return tuple(SourceReference(source.url, source.revision, source.chart) for source in application.sources)


def resolve_revision(access: SourceAccess, source: SourceReference) -> Revision:
    """Resolves the target revision of a source to a commit or a chart version, without fetching any files.

    Raises:
        ToolError: the repository cannot be reached, or has no such revision.
    """
    url, target_revision, chart = source
    keys = repository_credentials.find_credentials(access.cluster, access.argocd_namespace, url, access.project)
    if chart:
        version = helm_repository.resolve_version(Chart(url, chart, target_revision), keys)
        return Revision("", version, version)
    with closing(MemoryFiles()) as files:
        transport = git_transport.build_transport(url, keys, files)
        refs = git_fetch.list_refs(_build_git_repository(url, target_revision), transport)
        return repositories_revision.resolve_target_revision(target_revision, refs)


def fetch_source(access: SourceAccess, source: SourceReference, revision: Revision) -> FetchedSource:
    """Fetches the files of a commit or chart, and verifies the signature of the commit where the project requires one.

    Raises:
        ToolError: the files cannot be fetched, or no allowed key signed the commit.
    """
    url, target_revision, chart = source
    keys = repository_credentials.find_credentials(access.cluster, access.argocd_namespace, url, access.project)
    if chart:
        chart_root = helm_repository.fetch_chart(
            Chart(url, chart, target_revision), revision.commit, keys, access.storage_dir
        )
        return FetchedSource(chart_root, CommitProvenance())
    with closing(MemoryFiles()) as files:
        transport = git_transport.build_transport(url, keys, files)
        storage = access.storage_dir / hashlib.sha256(f"whole {url}".encode()).hexdigest()[:16]
        repository, mirror, signer = _build_git_repository(url, revision.fetch_ref), None, ""
        if access.signers:
            storage.mkdir(parents=True, exist_ok=True)
            mirror = git_fetch.fetch_mirror(repository, revision, transport, storage)
            known = repository_credentials.read_signing_keys(access.cluster, access.argocd_namespace, access.signers)
            verified = repository._replace(verification=HEAD_VERIFICATION)
            signer = signature.verify_signature(verified, revision, mirror, transport, known)
        checkout = git_fetch.checkout_commit(repository, revision, transport, storage, mirror)
        return FetchedSource(checkout, provenance.read_provenance(repository, transport, checkout, signer))


def _build_git_repository(url: str, target_revision: str) -> GitRepository:
    is_commit = repositories_revision.FULL_COMMIT.fullmatch(target_revision)
    ref = GitReference(commit=target_revision) if is_commit else GitReference(name=target_revision)
    return GitRepository("", "", url, ref, timeout=TIMEOUT_SECONDS, is_whole=True)
