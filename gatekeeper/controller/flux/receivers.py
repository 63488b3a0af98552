"""Flux Receivers: a Git host reports a push, and the GitRepository is fetched at once.

The path of a Receiver contains a digest of its token, so that it cannot be guessed.
Source: notification-controller `docs/spec/v1/receivers.md`, `internal/server/receiver_handlers.go`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from gatekeeper.cluster import secrets
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.model import NamespacedName, Object, get_field
from gatekeeper.secret_value import SecretBytes

GROUP, VERSIONS = "notification.toolkit.fluxcd.io", ("v1", "v1beta2", "v1beta1")
PATH_PREFIX = "/hook/"
REFUSAL = "no such Receiver, or the signature is invalid"
# Whether a call is authentic, given the token, the headers with lower-case names, and the body.
SignatureCheck = Callable[[bytes, Mapping[str, str], bytes], bool]


def build_path(token: bytes, name: NamespacedName) -> str:
    """The path of a Receiver."""
    return PATH_PREFIX + hashlib.sha256(token + name.name.encode() + name.namespace.encode()).hexdigest()


def find_called_sources(
    cluster: DynamicClient,
    receivers: Iterable[tuple[NamespacedName, Object]],
    path: str,
    headers: Mapping[str, str],
    body: bytes,
) -> list[NamespacedName] | None:
    """The GitRepositories of the Receiver with this path; None if there is none, or the signature is invalid.

    Args:
        headers: with lower-case names.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    for name, value in receivers:
        token = _read_token(cluster, name, value)
        if token is None or get_field(value, ("spec", "suspend")):
            continue
        if not hmac.compare_digest(build_path(token.reveal(), name), path):
            continue
        check = SIGNATURE_CHECKS.get(str(get_field(value, ("spec", "type"))))
        if check is None or not check(token.reveal(), headers, body):
            return None
        return [
            NamespacedName(resource.get("namespace") or name.namespace, str(resource.get("name")))
            for resource in get_field(value, ("spec", "resources")) or ()
            if resource.get("kind") == "GitRepository"
        ]
    return None


def _read_token(cluster: DynamicClient, name: NamespacedName, value: Object) -> SecretBytes | None:
    secret_name = get_field(value, ("spec", "secretRef", "name"))
    data = secrets.read_secret(cluster, name.namespace, secret_name) if isinstance(secret_name, str) else None
    return data.get("token") if data else None


def _accept_unsigned(token: bytes, headers: Mapping[str, str], body: bytes) -> bool:
    return True


def _check_hmac(header: str, token: bytes, headers: Mapping[str, str], body: bytes) -> bool:
    expected = hmac.new(token, body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"sha256={expected}", headers.get(header, ""))


def _check_gitlab_token(token: bytes, headers: Mapping[str, str], body: bytes) -> bool:
    return hmac.compare_digest(token, headers.get("x-gitlab-token", "").encode("utf-8", "replace"))


# The check of a call, by the type of the Receiver.
SIGNATURE_CHECKS: dict[str, SignatureCheck] = {
    "generic": _accept_unsigned,
    "generic-hmac": partial(_check_hmac, "x-signature"),
    "github": partial(_check_hmac, "x-hub-signature-256"),
    "gitlab": _check_gitlab_token,
}
