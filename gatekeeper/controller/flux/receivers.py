"""Flux's Receivers: a Git host says that there is something new, and the source is pulled at once.

Source: notification-controller `docs/spec/v1/receivers.md`, `internal/server/receiver_handlers.go`. The address has a
digest of the token in it, so that it cannot be guessed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping

from gatekeeper.cluster import secret_values
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.cluster.reflector import NamespacedName
from gatekeeper.model import get_field
from gatekeeper.secret_value import SecretBytes

GROUP, VERSIONS = "notification.toolkit.fluxcd.io", ("v1", "v1beta2", "v1beta1")
PATH_PREFIX = "/hook/"


def build_path(token: bytes, name: NamespacedName) -> str:
    """Where a Receiver, by namespace and name, is called."""
    return PATH_PREFIX + hashlib.sha256(token + name[1].encode() + name[0].encode()).hexdigest()


def find_called_sources(
    cluster: DynamicClient,
    receivers: Iterable[tuple[NamespacedName, Object]],
    path: str,
    headers: Mapping[str, str],
    body: bytes,
) -> list[NamespacedName] | None:
    """The GitRepositories that a call is about; None where nobody is called so, or it is not vouched for.

    Args:
        headers: with names in small letters.

    Raises:
        ToolError: the cluster does not answer.
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
            (one.get("namespace") or name[0], str(one.get("name")))
            for one in get_field(value, ("spec", "resources")) or ()
            if one.get("kind") == "GitRepository"
        ]
    return None


def _read_token(cluster: DynamicClient, name: NamespacedName, value: Object) -> SecretBytes | None:
    secret = get_field(value, ("spec", "secretRef", "name"))
    held = secret_values.read_secret(cluster, name[0], secret) if isinstance(secret, str) else None
    return held.get("token") if held else None


def _build_hmac_check(header: str) -> Callable[[bytes, Mapping[str, str], bytes], bool]:
    def check(token: bytes, headers: Mapping[str, str], body: bytes) -> bool:
        wanted = hmac.new(token, body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(f"sha256={wanted}", headers.get(header, ""))

    return check


# How a host vouches for a call, by the type of the Receiver.
SIGNATURE_CHECKS: dict[str, Callable[[bytes, Mapping[str, str], bytes], bool]] = {
    "generic": lambda token, headers, body: True,
    "generic-hmac": _build_hmac_check("x-signature"),
    "github": _build_hmac_check("x-hub-signature-256"),
    "gitlab": lambda token, headers, body: hmac.compare_digest(
        token, headers.get("x-gitlab-token", "").encode("utf-8", "replace")
    ),
}
