"""Secrets and ConfigMaps of a cluster: read, made, changed and taken away."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gatekeeper.errors import ToolError
from gatekeeper.secret_value import SecretBytes

if TYPE_CHECKING:
    from lightkube import Client

NOT_FOUND, CONFLICT = 404, 409
PAGE_SIZE = 200


def get_secret(client: Client, namespace: str, name: str) -> dict[str, Any] | None:
    """A Secret; None where there is none."""
    from lightkube.resources.core_v1 import Secret

    found = _get_object(client, Secret, namespace, name)
    return {"apiVersion": "v1", "kind": "Secret", **found} if found else None


def get_secret_value(client: Client, namespace: str, name: str, key: str) -> SecretBytes | None:
    """One value of a Secret; None where the Secret or the key is not there."""
    held = (get_secret(client, namespace, name) or {}).get("data") or {}
    return SecretBytes(base64.b64decode(held[key])) if key in held else None


def get_text(client: Client, kind: str, namespace: str, name: str, key: str) -> str | None:
    """A text of a ConfigMap or Secret; None where it is not there."""
    if kind == "Secret":
        found = get_secret_value(client, namespace, name, key)
        return found.reveal().decode("utf-8", "replace") if found else None
    from lightkube.resources.core_v1 import ConfigMap

    held = (_get_object(client, ConfigMap, namespace, name) or {}).get("data") or {}
    return held.get(key)


def list_labelled_secrets(client: Client, namespace: str, label: str) -> dict[str, dict[str, Any]]:
    """The Secrets of a namespace that have a label of value `true`, by name."""
    from lightkube.resources.core_v1 import Secret

    kind = {"apiVersion": "v1", "kind": "Secret"}
    held: Any = client.list(Secret, namespace=namespace, labels={label: "true"}, chunk_size=PAGE_SIZE)
    return {one.metadata.name: {**kind, **one.to_dict()} for one in held}


class SecretConflictError(ToolError):
    """Somebody else has made or changed it meanwhile."""


def write_secret(client: Client, value: dict[str, Any], manager: str, is_new: bool) -> None:
    """Makes or changes a Secret.

    Raises:
        Conflict: it is there already, or is not as it was read.
        ToolError: the cluster refuses.
    """
    from lightkube.resources.core_v1 import Secret

    whole: Any = Secret.from_dict(value)
    with translate_errors():
        if is_new:
            client.create(whole, field_manager=manager)
        else:
            # With its `resourceVersion`: what somebody else changed meanwhile is not written over.
            client.replace(whole, field_manager=manager)


def delete_secret(client: Client, namespace: str, name: str) -> None:
    """Takes a Secret away, if it is there.

    Raises:
        ToolError: the cluster refuses.
    """
    from lightkube.resources.core_v1 import Secret

    with translate_errors((NOT_FOUND,)):
        client.delete(Secret, name, namespace=namespace)


@contextmanager
def translate_errors(ignored_codes: tuple[int, ...] = ()) -> Iterator[None]:
    """Says why the cluster refuses; in its reason alone, for its message may repeat what was sent.

    Args:
        ignored_codes: statuses that are no failure.
    """
    import httpx2
    from lightkube.core.exceptions import ApiError

    try:
        yield
    except ApiError as error:
        code = error.status.code or 0
        if code in ignored_codes:
            return
        kind = SecretConflictError if code == CONFLICT else ToolError
        raise kind(f"the cluster refuses it ({error.status.reason or code})") from None
    except httpx2.HTTPError as error:
        raise ToolError(f"the cluster does not answer ({type(error).__name__})") from None


def _get_object(client: Client, kind: Any, namespace: str, name: str) -> dict[str, Any] | None:
    from lightkube.core.exceptions import ApiError

    try:
        found: dict[str, Any] = client.get(kind, name, namespace=namespace).to_dict()
    except ApiError as error:
        if error.status.code == NOT_FOUND:
            return None
        raise
    return found
