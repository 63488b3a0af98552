"""Signatures and payloads of Git webhooks, with the secret in a real API server."""

from __future__ import annotations

import hashlib
import hmac

import orjson
import pytest

from gatekeeper.controller.argocd.git_webhook import SECRET_NAME, WEBHOOK_PATH, find_called_repositories
from gatekeeper.controller.runtime.http_server import HttpRequest
from tests.argocd.conftest import ArgoCluster

BODY = orjson.dumps({"repository": {"clone_url": "https://example.com/r.git", "ssh_url": "git@example.com:r.git"}})
SIGNATURE = hmac.new(b"s3cret", BODY, hashlib.sha256).hexdigest()
URLS = ["https://example.com/r.git", "git@example.com:r.git"]


def call(cluster: ArgoCluster, headers: dict[str, str], body: bytes = BODY) -> list[str] | None:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return find_called_repositories(cluster.client, "argocd", HttpRequest("POST", WEBHOOK_PATH, named, body))


@pytest.fixture
def cluster(argocd_cluster: ArgoCluster) -> ArgoCluster:
    keys = ("webhook.github.secret", "webhook.gogs.secret", "webhook.gitlab.secret")
    argocd_cluster.create_secret(SECRET_NAME, **dict.fromkeys(keys, "s3cret"))
    return argocd_cluster


@pytest.mark.parametrize(
    "headers",
    [
        {"x_hub_signature_256": f"sha256={SIGNATURE}"},
        {"x_gogs_signature": SIGNATURE},
        {"x_gitlab_token": "s3cret"},
    ],
)
def test_a_signed_call_names_its_repositories(cluster: ArgoCluster, headers: dict[str, str]) -> None:
    assert call(cluster, headers) == URLS


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x_hub_signature_256": "sha256=" + "0" * 64},
        {"x_hub_signature_256": "s3cret"},
        {"x_gitlab_token": SIGNATURE},
        {"x_gitlab_token": "\udcff"},
    ],
)
def test_a_call_without_a_valid_signature_is_refused(cluster: ArgoCluster, headers: dict[str, str]) -> None:
    assert call(cluster, headers) is None


def test_a_signed_call_without_repositories_names_none(cluster: ArgoCluster) -> None:
    assert call(cluster, {"x_gitlab_token": "s3cret"}, b"no JSON") == []
    assert call(cluster, {"x_gitlab_token": "s3cret"}, b"[]") == []


def test_every_call_is_refused_without_a_configured_secret(argocd_cluster: ArgoCluster) -> None:
    argocd_cluster.create_secret(SECRET_NAME, **{"webhook.github.secret": ""})
    assert call(argocd_cluster, {"x_hub_signature_256": SIGNATURE}) is None
    assert call(argocd_cluster, {"x_gitlab_token": ""}) is None
