"""Git hosts that call about a repository, as Argo CD is called: who vouches for it, and which repository it is.

Source: argo-cd `docs/operator-manual/webhook.md`, `util/webhook`.
"""

from __future__ import annotations

import hashlib
import hmac

import orjson

from gatekeeper.cluster import secrets
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.controller.runtime.http_server import HttpRequest
from gatekeeper.model import get_field

WEBHOOK_PATH, SECRET_NAME = "/api/webhook", "argocd-secret"
# By which header a host is known, which key of the Secret it shares, and how it signs.
SIGNATURE_SCHEMES = (
    ("x-hub-signature-256", "webhook.github.secret", "hmac"),
    ("x-gogs-signature", "webhook.gogs.secret", "hmac"),
    ("x-gitlab-token", "webhook.gitlab.secret", "token"),
)


def find_called_repositories(cluster: DynamicClient, argocd_namespace: str, request: HttpRequest) -> list[str] | None:
    """The repositories that a host calls about; None where nobody vouches for it.

    Argo CD answers whoever calls where no secret is set; here nobody is answered without one.
    """
    held = secrets.read_secret(cluster, argocd_namespace, SECRET_NAME) or {}
    for header, key, way in SIGNATURE_SCHEMES:
        sent, secret = request.headers.get(header, ""), held.get(key)
        if not sent or secret is None or not secret.reveal():
            continue
        own = secret.reveal().decode("utf-8", "replace")
        if way == "hmac":
            own = hmac.new(secret.reveal(), request.body, hashlib.sha256).hexdigest()
        if hmac.compare_digest(own.encode(), sent.removeprefix("sha256=").encode()):
            return _extract_addresses(request.body)
    return None


def _extract_addresses(body: bytes) -> list[str]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    paths = [("repository", name) for name in ("html_url", "clone_url", "ssh_url", "git_url", "url")]
    paths += [("project", name) for name in ("web_url", "git_http_url", "git_ssh_url")]
    return [text for path in paths if isinstance(text := get_field(value, path), str)]
