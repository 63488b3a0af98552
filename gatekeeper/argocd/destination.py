"""The destination cluster of an Application: this cluster, or one that a cluster Secret describes.

Source: argo-cd `docs/operator-manual/declarative-setup.md` (clusters).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import orjson

from gatekeeper.argocd.application_spec import Destination
from gatekeeper.argocd.repository_credentials import SECRET_TYPE_LABEL
from gatekeeper.cluster import remote_cluster, secrets
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import ToolError
from gatekeeper.model import Object
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.secret_value import SecretBytes

IN_CLUSTER_SERVER, IN_CLUSTER_NAME = "https://kubernetes.default.svc", "in-cluster"


class DestinationCluster(NamedTuple):
    """A connection to a destination cluster.

    Attributes:
        destination: with both the URL and the name.
        allowed_namespaces: the only namespaces that may be applied to; empty for all.
        is_in_cluster: whether it is the cluster that the controller watches.
        owner_project: the only project that may use the cluster Secret; empty for all.
    """

    cluster: DynamicClient
    destination: Destination
    allowed_namespaces: tuple[str, ...] = ()
    is_in_cluster: bool = True
    owner_project: str = ""


def resolve_cluster(
    cluster: DynamicClient, argocd_namespace: str, requested: Destination, project: str
) -> DestinationCluster:
    """Connect to the cluster of a destination.

    Args:
        cluster: the cluster of the Application.
        argocd_namespace: namespace of Argo CD's own objects.
        project: the Application's project; a cluster Secret may be for one project only.

    Raises:
        ToolError: no cluster Secret has this name or URL, or its content cannot be used.
    """
    if requested.server == IN_CLUSTER_SERVER or requested.name == IN_CLUSTER_NAME:
        return DestinationCluster(cluster, requested._replace(server=IN_CLUSTER_SERVER, name=IN_CLUSTER_NAME))
    for secret in cluster.list(secrets.SECRETS, argocd_namespace, f"{SECRET_TYPE_LABEL}=cluster"):
        data = {key: base64.b64decode(text) for key, text in (secret.get("data") or {}).items()}
        server, name = (_read_text(data, key) for key in ("server", "name"))
        if (requested.server and server.rstrip("/") == requested.server.rstrip("/")) or (
            requested.name and name == requested.name
        ):
            return _open_cluster(secret, data, requested._replace(server=server, name=name), project)
    raise ToolError(
        f"no cluster Secret in namespace {argocd_namespace} for {requested.name or requested.server}: add one "
        f"with the label {SECRET_TYPE_LABEL}=cluster"
    )


def _read_text(data: Mapping[str, bytes], key: str) -> str:
    return data.get(key, b"").decode("utf-8", "replace").strip()


def _open_cluster(
    secret: Object, data: Mapping[str, bytes], destination: Destination, project: str
) -> DestinationCluster:
    subject = f"Secret {secret['metadata']['namespace']}/{secret['metadata']['name']}"
    owner_project = _read_text(data, "project")
    if owner_project and owner_project != project:
        raise ToolError(f"{subject}: only the project {owner_project} may use this cluster")
    try:
        config: Any = orjson.loads(data.get("config") or b"{}")
    except orjson.JSONDecodeError:
        raise ToolError(f"{subject}: `config` is not valid JSON") from None
    namespaces = tuple(name.strip() for name in _read_text(data, "namespaces").split(",") if name.strip())
    kubeconfig = _build_kubeconfig(destination.server, config if isinstance(config, dict) else {}, subject)
    connection = remote_cluster.open_cluster(SecretBytes(orjson.dumps(kubeconfig)), subject)
    return DestinationCluster(connection, destination, namespaces, False, owner_project)


def _build_kubeconfig(server: str, config: Mapping[str, Any], subject: str) -> dict[str, Any]:
    for name in ("awsAuthConfig", "execProviderConfig"):
        if config.get(name):
            raise ToolError(f"{subject}: `{name}` is not supported: the controller runs no program that a Secret names")
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
        "clusters": [{"name": "c", "cluster": {key: setting for key, setting in cluster.items() if setting}}],
        "users": [{"name": "u", "user": {key: setting for key, setting in user.items() if setting}}],
    }
