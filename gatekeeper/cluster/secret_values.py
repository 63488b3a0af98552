"""The values of Secrets and ConfigMaps of a cluster, hidden from whoever prints them."""

from __future__ import annotations

import base64

from gatekeeper.cluster.dynamic_client import DynamicClient, Kind
from gatekeeper.secret_value import SecretBytes

SECRETS, CONFIG_MAPS = Kind("v1", "secrets", True), Kind("v1", "configmaps", True)


def read_secret(cluster: DynamicClient, namespace: str, name: str) -> dict[str, SecretBytes] | None:
    """The values of a Secret; None where there is none.

    Raises:
        ToolError: the cluster does not give it.
    """
    found = cluster.get(SECRETS, namespace, name)
    if found is None:
        return None
    return {key: SecretBytes(base64.b64decode(text)) for key, text in (found.get("data") or {}).items()}


def read_data(cluster: DynamicClient, namespace: str, kind: str, name: str) -> dict[str, SecretBytes] | None:
    """The values of a ConfigMap or a Secret; None where there is none.

    Raises:
        ToolError: the cluster does not give it.
    """
    if kind == "Secret":
        return read_secret(cluster, namespace, name)
    found = cluster.get(CONFIG_MAPS, namespace, name)
    if found is None:
        return None
    return {key: SecretBytes(text.encode()) for key, text in (found.get("data") or {}).items()}
