"""The values of Secrets and ConfigMaps of a cluster, hidden from whoever prints them."""

from __future__ import annotations

import base64

from gatekeeper.cluster.dynamic_client import Kind, Objects
from gatekeeper.secret_value import Hidden

SECRETS, CONFIGS = Kind("v1", "secrets", True), Kind("v1", "configmaps", True)


def secret(cluster: Objects, namespace: str, name: str) -> dict[str, Hidden] | None:
    """The values of a Secret; None where there is none.

    Raises:
        ToolError: the cluster does not give it.
    """
    found = cluster.get(SECRETS, namespace, name)
    if found is None:
        return None
    return {key: Hidden(base64.b64decode(text)) for key, text in (found.get("data") or {}).items()}


def data(cluster: Objects, namespace: str, kind: str, name: str) -> dict[str, Hidden] | None:
    """The values of a ConfigMap or a Secret; None where there is none.

    Raises:
        ToolError: the cluster does not give it.
    """
    if kind == "Secret":
        return secret(cluster, namespace, name)
    found = cluster.get(CONFIGS, namespace, name)
    if found is None:
        return None
    return {key: Hidden(text.encode()) for key, text in (found.get("data") or {}).items()}
