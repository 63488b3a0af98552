"""Flux's Receivers: a Git host says that there is something new, and the source is pulled at once.

Source: notification-controller `docs/spec/v1/receivers.md`, `internal/server/receiver_handlers.go`. The address has a
digest of the token in it, so that it cannot be guessed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping

from gatekeeper.cluster import secret_values
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.cluster.reflector import Name
from gatekeeper.model import at
from gatekeeper.secret_value import Hidden

GROUP, VERSIONS = "notification.toolkit.fluxcd.io", ("v1", "v1beta2", "v1beta1")
PREFIX = "/hook/"


def path_of(token: bytes, name: Name) -> str:
    """Where a Receiver, by namespace and name, is called."""
    return PREFIX + hashlib.sha256(token + name[1].encode() + name[0].encode()).hexdigest()


def called(
    cluster: Objects, receivers: Iterable[tuple[Name, Object]], path: str, headers: Mapping[str, str], body: bytes
) -> list[Name] | None:
    """The GitRepositories that a call is about; None where nobody is called so, or it is not vouched for.

    Args:
        headers: with names in small letters.

    Raises:
        ToolError: the cluster does not answer.
    """
    for name, value in receivers:
        token = _token(cluster, name, value)
        if token is None or at(value, ("spec", "suspend")):
            continue
        if not hmac.compare_digest(path_of(token.reveal(), name), path):
            continue
        check = CHECKS.get(str(at(value, ("spec", "type"))))
        if check is None or not check(token.reveal(), headers, body):
            return None
        return [
            (one.get("namespace") or name[0], str(one.get("name")))
            for one in at(value, ("spec", "resources")) or ()
            if one.get("kind") == "GitRepository"
        ]
    return None


def _token(cluster: Objects, name: Name, value: Object) -> Hidden | None:
    secret = at(value, ("spec", "secretRef", "name"))
    held = secret_values.secret(cluster, name[0], secret) if isinstance(secret, str) else None
    return held.get("token") if held else None


def _signed(header: str) -> Callable[[bytes, Mapping[str, str], bytes], bool]:
    def check(token: bytes, headers: Mapping[str, str], body: bytes) -> bool:
        wanted = hmac.new(token, body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(f"sha256={wanted}", headers.get(header, ""))

    return check


# How a host vouches for a call, by the type of the Receiver.
CHECKS: dict[str, Callable[[bytes, Mapping[str, str], bytes], bool]] = {
    "generic": lambda token, headers, body: True,
    "generic-hmac": _signed("x-signature"),
    "github": _signed("x-hub-signature-256"),
    "gitlab": lambda token, headers, body: hmac.compare_digest(
        token, headers.get("x-gitlab-token", "").encode("utf-8", "replace")
    ),
}
