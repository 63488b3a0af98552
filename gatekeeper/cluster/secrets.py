"""Secrets and ConfigMaps of a cluster: their values, and writing Secrets. Values are hidden from printing."""

from __future__ import annotations

import base64

from gatekeeper.cluster.dynamic_client import CONFLICT, ApiStatusError, DynamicClient, Kind
from gatekeeper.errors import ToolError
from gatekeeper.model import Object
from gatekeeper.secret_value import SecretBytes

SECRETS, CONFIG_MAPS = Kind("v1", "secrets", True), Kind("v1", "configmaps", True)


class SecretConflictError(ToolError):
    """Another client created or changed the Secret since it was read."""


def read_secret(cluster: DynamicClient, namespace: str, name: str) -> dict[str, SecretBytes] | None:
    """The values of a Secret by key; None if the Secret does not exist.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    secret = cluster.get(SECRETS, namespace, name)
    if secret is None:
        return None
    return {key: SecretBytes(base64.b64decode(text)) for key, text in (secret.get("data") or {}).items()}


def read_data(cluster: DynamicClient, namespace: str, kind: str, name: str) -> dict[str, SecretBytes] | None:
    """The values of a ConfigMap or a Secret by key; None if it does not exist.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    if kind == "Secret":
        return read_secret(cluster, namespace, name)
    config_map = cluster.get(CONFIG_MAPS, namespace, name)
    if config_map is None:
        return None
    return {key: SecretBytes(text.encode()) for key, text in (config_map.get("data") or {}).items()}


def read_text(cluster: DynamicClient, kind: str, namespace: str, name: str, key: str) -> str | None:
    """One value of a ConfigMap or a Secret as text; None if it does not exist.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    value = (read_data(cluster, namespace, kind, name) or {}).get(key)
    return value.reveal().decode("utf-8", "replace") if value is not None else None


def get_secret(cluster: DynamicClient, namespace: str, name: str) -> Object | None:
    """A whole Secret; None if it does not exist.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    secret = cluster.get(SECRETS, namespace, name)
    return {"apiVersion": "v1", "kind": "Secret", **secret} if secret is not None else None


def list_secrets(cluster: DynamicClient, namespace: str, selector: str) -> dict[str, Object]:
    """The whole Secrets of a namespace that match a label selector, by name.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    return {secret["metadata"]["name"]: secret for secret in cluster.list(SECRETS, namespace, selector)}


def write_secret(cluster: DynamicClient, secret: Object, manager: str, is_new: bool) -> None:
    """Creates a Secret, or replaces it if it still has the resourceVersion it was read with.

    Raises:
        SecretConflictError: a new Secret exists already, or an existing one was changed since it was read.
        ToolError: the cluster refuses, or does not answer.
    """
    try:
        if is_new:
            cluster.create(SECRETS, secret, manager)
        else:
            cluster.replace(SECRETS, secret, manager)
    except ApiStatusError as error:
        if error.code == CONFLICT:
            raise SecretConflictError(str(error)) from None
        raise


def delete_secret(cluster: DynamicClient, namespace: str, name: str) -> None:
    """Deletes a Secret; a Secret that does not exist is not an error.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    secret = cluster.get(SECRETS, namespace, name)
    if secret is not None:
        cluster.delete(SECRETS, namespace, name, secret["metadata"]["uid"])
