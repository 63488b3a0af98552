"""Git webhooks at Argo CD's address: verifies the signature, and finds the repositories of a call.

Source: argo-cd `docs/operator-manual/webhook.md`, `util/webhook`.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Literal

import orjson

from gatekeeper.cluster import secrets
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.controller.runtime.http_server import HttpRequest
from gatekeeper.model import get_field
from gatekeeper.named_tuple import NamedTuple

WEBHOOK_PATH, SECRET_NAME = "/api/webhook", "argocd-secret"
REFUSAL = "invalid webhook signature"


class SignatureScheme(NamedTuple):
    """How a Git host authenticates its calls.

    Attributes:
        header: the header with the signature or token.
        secret_key: the key of the shared secret in `argocd-secret`.
    """

    header: str
    secret_key: str
    method: Literal["hmac", "token"]


SIGNATURE_SCHEMES = (
    SignatureScheme("x-hub-signature-256", "webhook.github.secret", "hmac"),
    SignatureScheme("x-gogs-signature", "webhook.gogs.secret", "hmac"),
    SignatureScheme("x-gitlab-token", "webhook.gitlab.secret", "token"),
)
URL_FIELDS = (
    *(("repository", name) for name in ("html_url", "clone_url", "ssh_url", "git_url", "url")),
    *(("project", name) for name in ("web_url", "git_http_url", "git_ssh_url")),
)


def find_called_repositories(cluster: DynamicClient, argocd_namespace: str, request: HttpRequest) -> list[str] | None:
    """Return the URLs of the repositories that a call is about; None if its signature is invalid.

    Argo CD accepts unsigned calls if no secret is configured; here a secret is required.

    Raises:
        ToolError: the cluster does not answer.
    """
    data = secrets.read_secret(cluster, argocd_namespace, SECRET_NAME) or {}
    for scheme in SIGNATURE_SCHEMES:
        signature, secret = request.headers.get(scheme.header, ""), data.get(scheme.secret_key)
        if not signature or secret is None or not secret.reveal():
            continue
        expected = secret.reveal()
        if scheme.method == "hmac":
            expected = hmac.new(secret.reveal(), request.body, hashlib.sha256).hexdigest().encode()
        if hmac.compare_digest(expected, signature.removeprefix("sha256=").encode("utf-8", "replace")):
            return _extract_urls(request.body)
    return None


def _extract_urls(body: bytes) -> list[str]:
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    return [url for path in URL_FIELDS if isinstance(url := get_field(payload, path), str)]
