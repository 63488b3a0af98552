"""The keys of the sealed-secrets controller, in its own namespace.

Source: sealed-secrets `pkg/controller/keys.go`: TLS Secrets with a label, of which every one opens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatekeeper.sealedsecrets.keyring import KEY_LABEL

if TYPE_CHECKING:
    from lightkube import Client


def list_key_secrets(client: Client, namespace: str) -> list[dict[str, Any]]:
    """All key Secrets of a controller; secret as they are."""
    from lightkube.resources.core_v1 import Secret

    kind = {"apiVersion": "v1", "kind": "Secret"}
    return [{**kind, **one.to_dict()} for one in client.list(Secret, namespace=namespace, labels={KEY_LABEL: "active"})]


def create_key_secret(client: Client, secret: dict[str, Any]) -> None:
    """Puts a new key Secret into a cluster. The controller takes it when it starts, or watches for it."""
    from lightkube.resources.core_v1 import Secret

    client.create(Secret.from_dict(secret))  # type: ignore[call-overload]
