"""Sources of Applications: commits and charts, with the credentials and signatures that the project demands."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.argocd import source_fetch
from gatekeeper.argocd.source_fetch import SourceAccess, SourceReference
from gatekeeper.errors import ToolError
from tests.argocd.conftest import ArgoCluster
from tests.conftest import needs
from tests.host import commit_files, run_git
from tests.servers import chart_server, git_server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return commit_files(tmp_path / "host" / "shop", {"a.yaml": "a: 1\n"})


def open_access(cluster: ArgoCluster, folder: Path, *signers: str) -> SourceAccess:
    return SourceAccess(cluster.client, "argocd", "default", folder / "kept", signers)


def test_a_branch_is_resolved_and_its_commit_fetched_with_its_author(
    argocd_cluster: ArgoCluster, root: Path, tmp_path: Path
) -> None:
    access, source = open_access(argocd_cluster, tmp_path), SourceReference(f"file://{root}", "main", "")
    revision = source_fetch.resolve_revision(access, source)
    assert revision.commit == run_git(root, "rev-parse", "HEAD").strip()
    fetched = source_fetch.fetch_source(access, source, revision)
    assert (fetched.root / "a.yaml").read_text() == "a: 1\n" and fetched.provenance.author == "Ada <ada@example.com>"
    commit_files(root, {"a.yaml": "a: 2\n"})
    old = SourceReference(f"file://{root}", revision.commit, "")
    assert source_fetch.resolve_revision(access, old).commit == revision.commit


@pytest.mark.parametrize("target", ["none", "v1.x"])
def test_a_revision_that_does_not_exist_is_an_error(
    argocd_cluster: ArgoCluster, root: Path, tmp_path: Path, target: str
) -> None:
    with pytest.raises(ToolError, match=target):
        source_fetch.resolve_revision(
            open_access(argocd_cluster, tmp_path), SourceReference(f"file://{root}", target, "")
        )


def test_a_repository_is_fetched_with_the_credentials_of_its_secret(
    argocd_cluster: ArgoCluster, root: Path, tmp_path: Path
) -> None:
    access = open_access(argocd_cluster, tmp_path)
    with git_server.serving(root.parent) as host:
        source = SourceReference(f"{host.url}/shop/.git", "main", "")
        with pytest.raises(ToolError, match="user name and password"):
            source_fetch.resolve_revision(access, source)
        argocd_cluster.create_secret(
            "repo", "repository", url=source.url, username=git_server.USER, password=git_server.PASSWORD
        )
        revision = source_fetch.resolve_revision(access, source)
        assert (source_fetch.fetch_source(access, source, revision).root / "a.yaml").is_file()
    argocd_cluster.server.ask("DELETE", "/api/v1/namespaces/argocd/secrets/repo")


def test_an_unsigned_commit_is_refused_where_the_project_names_signers(
    argocd_cluster: ArgoCluster, root: Path, tmp_path: Path
) -> None:
    source = SourceReference(f"file://{root}", "main", "")
    access = open_access(argocd_cluster, tmp_path, "4AEE18F83AFDEB23")
    revision = source_fetch.resolve_revision(access, source)
    with pytest.raises(ToolError):
        source_fetch.fetch_source(access, source, revision)
    assert not list((tmp_path / "kept").rglob("a.yaml"))


@needs("gatekeeper-upstream", "helm")
def test_a_chart_is_resolved_to_a_version_and_fetched(argocd_cluster: ArgoCluster, tmp_path: Path) -> None:
    folder = tmp_path / "charts" / "served"
    folder.mkdir(parents=True)
    chart_server.pack_chart(folder, "web", "1.0.0", "1.1.0")
    access = open_access(argocd_cluster, tmp_path)
    with chart_server.serving(folder) as url:
        argocd_cluster.create_secret(
            "charts", "repository", url=url, type="helm", username=chart_server.USER, password=chart_server.PASSWORD
        )
        source = SourceReference(url, "1.x", "web")
        revision = source_fetch.resolve_revision(access, source)
        assert str(revision.commit) == "1.1.0"
        assert (source_fetch.fetch_source(access, source, revision).root / "web" / "Chart.yaml").is_file()
    argocd_cluster.server.ask("DELETE", "/api/v1/namespaces/argocd/secrets/charts")
