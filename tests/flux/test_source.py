"""GitRepositories of a cluster: what they mean now, and the files of their commits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.flux import source
from gatekeeper.repositories import git_repository_spec
from tests.flux.conftest import FluxCluster
from tests.flux.test_reconciler import GIT, flux
from tests.host import commit_files, run_git


def build(root: Path, name: str = "r", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": name, "namespace": "flux-system"},
        "spec": {"interval": "1m", "url": f"file://{root}", "ref": {"branch": "main"}, **spec},
    }


def create(cluster: FluxCluster, value: dict[str, Any]) -> None:
    cluster.server.make(f"{GIT}/namespaces/flux-system/gitrepositories", value)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return commit_files(tmp_path / "host", {"a.yaml": "a: 1\n"})


def test_sources_are_listed_with_their_kustomizations_and_an_invalid_one_with_its_error(
    flux_cluster: FluxCluster, root: Path
) -> None:
    create(flux_cluster, build(root))
    create(flux_cluster, build(root, "broken", url="ftp://x"))
    flux_cluster.create_kustomization(flux())
    broken, valid = sorted(source.list_sources(flux_cluster.client), key=lambda one: one.name)
    assert (valid.name, valid.error) == ("flux-system/r", "") and valid.repository is not None
    assert [value["metadata"]["name"] for value in valid.kustomizations] == ["apps"]
    assert broken.repository is None and "url" in broken.error and not broken.kustomizations


def test_a_cluster_that_refuses_to_list_is_an_error_and_not_an_empty_one(flux_cluster: FluxCluster) -> None:
    with pytest.raises(ToolError, match=r"forbidden|cannot list"):
        source.list_sources(flux_cluster.client_without_rights)


def test_a_commit_is_fetched_with_its_provenance(flux_cluster: FluxCluster, root: Path, tmp_path: Path) -> None:
    repository = git_repository_spec.parse_git_repository(build(root))
    revision = source.resolve_source_revision(flux_cluster.client, repository)
    commit = run_git(root, "rev-parse", "HEAD").strip()
    assert revision.revisions == [f"main@sha1:{commit}"]
    fetched = source.fetch_artifact(flux_cluster.client, repository, revision, tmp_path / "kept")
    assert (fetched.root / "a.yaml").read_text() == "a: 1\n"
    assert fetched.provenance.author == "Ada <ada@example.com>"


def test_an_included_repository_counts_with_its_own_commit(
    flux_cluster: FluxCluster, root: Path, tmp_path: Path
) -> None:
    other = commit_files(tmp_path / "other", {"b.yaml": "b: 1\n"})
    repository = git_repository_spec.parse_git_repository(
        build(root, include=[{"repository": {"name": "other"}, "toPath": "parts"}])
    )
    with pytest.raises(ToolError, match=r"flux-system/other was not found"):
        source.resolve_source_revision(flux_cluster.client, repository)
    create(flux_cluster, build(other, "other"))
    revision = source.resolve_source_revision(flux_cluster.client, repository)
    assert revision.revisions[1].startswith("other=main@sha1:")
    fetched = source.fetch_artifact(flux_cluster.client, repository, revision, tmp_path / "kept")
    assert (fetched.root / "parts" / "b.yaml").is_file() and (fetched.root / "a.yaml").is_file()
    commit_files(other, {"b.yaml": "b: 2\n"})
    assert source.resolve_source_revision(flux_cluster.client, repository).revisions != revision.revisions


@pytest.mark.parametrize("field", ["secretRef", "proxySecretRef"])
def test_a_missing_secret_is_an_error_before_anything_is_fetched(
    flux_cluster: FluxCluster, root: Path, field: str
) -> None:
    fields: dict[str, Any] = {"url": "https://git.example.invalid/r", field: {"name": "keys"}}
    repository = git_repository_spec.parse_git_repository(build(root, **fields))
    with pytest.raises(ToolError, match="the Secret flux-system/keys of the GitRepository was not found"):
        source.resolve_revision(flux_cluster.client, repository)


def test_an_unsigned_commit_of_a_verified_source_is_refused(
    flux_cluster: FluxCluster, root: Path, tmp_path: Path
) -> None:
    secret = {"metadata": {"name": "signers"}, "stringData": {"me.sshpub": "ssh-ed25519 AAAA me"}}
    flux_cluster.server.make("/api/v1/namespaces/flux-system/secrets", secret)
    value = build(root, verify={"mode": "HEAD", "secretRef": {"name": "signers"}})
    repository = git_repository_spec.parse_git_repository(value)
    revision = source.resolve_source_revision(flux_cluster.client, repository)
    with pytest.raises(ToolError, match="sign"):
        source.fetch_artifact(flux_cluster.client, repository, revision, tmp_path / "kept")
    assert not list((tmp_path / "kept").rglob("a.yaml"))
