"""Credentials of repositories, from Secrets of a real API server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gatekeeper.argocd.repository_credentials import find_credentials, read_signing_keys
from gatekeeper.errors import ToolError
from tests.argocd.conftest import ArgoCluster

URL = "https://git.example.com/org/repo.git"


@pytest.fixture(autouse=True)
def _without_secrets(argocd_cluster: ArgoCluster) -> Iterator[None]:
    yield
    for kind in ("secrets", "configmaps"):
        argocd_cluster.delete_all(f"/api/v1/namespaces/argocd/{kind}")


def find(cluster: ArgoCluster, url: str = URL, project: str = "default") -> dict[str, str]:
    credentials = find_credentials(cluster.client, "argocd", url, project)
    return {key: value.reveal().decode() for key, value in credentials.items()}


def test_a_repository_without_a_secret_has_no_credentials(argocd_cluster: ArgoCluster) -> None:
    assert find(argocd_cluster) == {}


def test_the_longest_matching_template_counts(argocd_cluster: ArgoCluster) -> None:
    argocd_cluster.create_secret("all", "repo-creds", url="https://git.example.com", username="all", password="1")
    argocd_cluster.create_secret("org", "repo-creds", url="https://git.example.com/org/", username="org", password="2")
    argocd_cluster.create_secret("near", "repo-creds", url="https://git.example.com/or", username="near", password="3")
    assert find(argocd_cluster) == {"username": "org", "password": "2"}
    assert find(argocd_cluster, "https://git.example.com/other/r") == {"username": "all", "password": "1"}


def test_the_secret_of_a_repository_replaces_a_template_if_it_has_credentials(argocd_cluster: ArgoCluster) -> None:
    argocd_cluster.create_secret("org", "repo-creds", url="https://git.example.com/org", username="org", password="2")
    argocd_cluster.create_secret("own", "repository", url="https://GIT.example.com/org/repo")
    assert find(argocd_cluster) == {"username": "org", "password": "2"}
    argocd_cluster.create_secret("own", "repository", url=URL, sshPrivateKey="key", enableLfs="true")
    assert find(argocd_cluster) == {"identity": "key"}


def test_a_secret_of_a_project_is_for_that_project(argocd_cluster: ArgoCluster) -> None:
    argocd_cluster.create_secret("team", "repository", url=URL, project="team", password="team")
    assert find(argocd_cluster, project="team") == {"password": "team"}
    with pytest.raises(ToolError, match="only the project team may use the Secret team"):
        find(argocd_cluster)
    argocd_cluster.create_secret("all", "repository", url=URL, password="all")
    assert find(argocd_cluster) == {"password": "all"} and find(argocd_cluster, project="team") == {"password": "team"}


@pytest.mark.parametrize("key", ["insecure", "insecureIgnoreHostKey", "proxy", "githubAppID"])
def test_an_unsupported_setting_is_an_error_unless_it_is_off(argocd_cluster: ArgoCluster, key: str) -> None:
    argocd_cluster.create_secret("own", "repository", **{"url": URL, "password": "hunter2", key: "true"})
    with pytest.raises(ToolError, match=f"Secret own: `{key}` is not supported") as caught:
        find(argocd_cluster)
    assert "hunter2" not in str(caught.value)
    argocd_cluster.create_secret("own", "repository", **{"url": URL, "password": "hunter2", key: "false"})
    assert find(argocd_cluster) == {"password": "hunter2"}


def test_trusted_hosts_are_those_of_argo_cds_config_maps(argocd_cluster: ArgoCluster) -> None:
    argocd_cluster.create_config_map("argocd-ssh-known-hosts-cm", ssh_known_hosts="git.example.com ssh-ed25519 AAAA")
    argocd_cluster.create_config_map("argocd-tls-certs-cm", **{"git.example.com": "CERTIFICATE"})
    assert find(argocd_cluster) == {"ca.crt": "CERTIFICATE"}
    assert find(argocd_cluster, "ssh://git@git.example.com/r") == {"known_hosts": "git.example.com ssh-ed25519 AAAA"}
    assert find(argocd_cluster, "https://other.example.com/r") == {}


def test_a_missing_signing_key_is_an_error(argocd_cluster: ArgoCluster) -> None:
    argocd_cluster.create_config_map("argocd-gpg-keys-cm", ABCD="public key")
    keys = read_signing_keys(argocd_cluster.client, "argocd", ["ABCD"])
    assert {name: value.reveal() for name, value in keys.items()} == {"ABCD.asc": b"public key"}
    with pytest.raises(ToolError, match="argocd/argocd-gpg-keys-cm: the key FFFF is missing"):
        read_signing_keys(argocd_cluster.client, "argocd", ["ABCD", "FFFF"])
