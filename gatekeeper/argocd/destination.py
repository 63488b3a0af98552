"""The cluster that an Application is applied to: our own, or one of which a Secret says how to reach it.

Source: argo-cd `docs/operator-manual/declarative-setup.md` (clusters).
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

import orjson

from gatekeeper.argocd.application_spec import Destination
from gatekeeper.argocd.repository_credentials import SECRET_TYPE_LABEL
from gatekeeper.cluster import remote_cluster, secret_values
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.errors import ToolError
from gatekeeper.secret_value import SecretBytes

IN_CLUSTER_SERVER, IN_CLUSTER_NAME = "https://kubernetes.default.svc", "in-cluster"


class DestinationCluster(NamedTuple):
    """A cluster that is applied to.

    Attributes:
        destination: with both address and name.
        allowed_namespaces: to which alone something may be applied; empty for all.
        is_in_cluster: whether it is our own.
        owner_project: the project that its Secret is for alone; empty where it is for all.
    """

    cluster: DynamicClient
    destination: Destination
    allowed_namespaces: tuple[str, ...] = ()
    is_in_cluster: bool = True
    owner_project: str = ""


def resolve_cluster(
    cluster: DynamicClient, argocd_namespace: str, requested: Destination, project: str
) -> DestinationCluster:
    """The cluster of a destination.

    Args:
        argocd_namespace: the namespace of Argo CD's own objects.
        project: of the Application; a Secret may be for one project alone.

    Raises:
        ToolError: none is known by this name or address; or it cannot be used.
    """
    if requested.server == IN_CLUSTER_SERVER or requested.name == IN_CLUSTER_NAME:
        return DestinationCluster(cluster, requested._replace(server=IN_CLUSTER_SERVER, name=IN_CLUSTER_NAME))
    for value in cluster.list(secret_values.SECRETS, argocd_namespace, f"{SECRET_TYPE_LABEL}=cluster"):
        data = {key: base64.b64decode(text) for key, text in (value.get("data") or {}).items()}
        server, name = (data.get(key, b"").decode("utf-8", "replace").strip() for key in ("server", "name"))
        if (requested.server and server.rstrip("/") == requested.server.rstrip("/")) or (
            requested.name and name == requested.name
        ):
            return _open_cluster(value, data, requested._replace(server=server, name=name), project)
    raise ToolError(f"no Secret in {argocd_namespace} is about the cluster {requested.name or requested.server}")


def _open_cluster(secret: Object, data: dict[str, bytes], destination: Destination, project: str) -> DestinationCluster:
    what = f"the Secret {secret['metadata']['namespace']}/{secret['metadata']['name']}"
    owner = data.get("project", b"").decode("utf-8", "replace").strip()
    if owner and owner != project:
        raise ToolError(f"{what} is for the project {owner} alone")
    try:
        config: Any = orjson.loads(data.get("config") or b"{}")
    except orjson.JSONDecodeError:
        raise ToolError(f"{what}: its `config` is no JSON") from None
    listed = data.get("namespaces", b"").decode("utf-8", "replace")
    spaces = tuple(one.strip() for one in listed.split(",") if one.strip())
    text = SecretBytes(
        orjson.dumps(_build_kubeconfig(destination.server, config if isinstance(config, dict) else {}, what))
    )
    return DestinationCluster(remote_cluster.open_cluster(text, what), destination, spaces, False, owner)


def _build_kubeconfig(server: str, config: dict[str, Any], subject: str) -> dict[str, Any]:
    for name in ("awsAuthConfig", "execProviderConfig"):
        if config.get(name):
            raise ToolError(f"{subject}: its `{name}` is not followed: what is in a Secret runs nothing here")
    tls = config.get("tlsClientConfig") or {}
    cluster = {
        "server": server,
        "certificate-authority-data": tls.get("caData"),
        "tls-server-name": tls.get("serverName"),
        "insecure-skip-tls-verify": tls.get("insecure"),
    }
    user = {
        "token": config.get("bearerToken"),
        "username": config.get("username"),
        "password": config.get("password"),
        "client-certificate-data": tls.get("certData"),
        "client-key-data": tls.get("keyData"),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {key: held for key, held in cluster.items() if held}}],
        "users": [{"name": "u", "user": {key: held for key, held in user.items() if held}}],
    }
