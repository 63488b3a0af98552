"""The cluster that an Application is applied to: our own, or one of which a Secret says how to reach it.

Source: argo-cd `docs/operator-manual/declarative-setup.md` (clusters).
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

import orjson

from gatekeeper.argocd.application_spec import Destination
from gatekeeper.argocd.repository_credentials import TYPE
from gatekeeper.cluster import remote_cluster, secret_values
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.errors import ToolError
from gatekeeper.secret_value import Hidden

HERE, HERE_NAME = "https://kubernetes.default.svc", "in-cluster"


class There(NamedTuple):
    """A cluster that is applied to.

    Attributes:
        destination: with both address and name.
        namespaces: to which alone something may be applied; empty for all.
        is_here: whether it is our own.
        owner: the project that its Secret is for alone; empty where it is for all.
    """

    cluster: Objects
    destination: Destination
    namespaces: tuple[str, ...] = ()
    is_here: bool = True
    owner: str = ""


def there(cluster: Objects, home: str, wanted: Destination, project: str) -> There:
    """The cluster of a destination.

    Args:
        home: the namespace of Argo CD's own objects.
        project: of the Application; a Secret may be for one project alone.

    Raises:
        ToolError: none is known by this name or address; or it cannot be used.
    """
    if wanted.server == HERE or wanted.name == HERE_NAME:
        return There(cluster, wanted._replace(server=HERE, name=HERE_NAME))
    for value in cluster.list(secret_values.SECRETS, home, f"{TYPE}=cluster"):
        data = {key: base64.b64decode(text) for key, text in (value.get("data") or {}).items()}
        server, name = (data.get(key, b"").decode("utf-8", "replace").strip() for key in ("server", "name"))
        if (wanted.server and server.rstrip("/") == wanted.server.rstrip("/")) or (wanted.name and name == wanted.name):
            return _opened(value, data, wanted._replace(server=server, name=name), project)
    raise ToolError(f"no Secret in {home} is about the cluster {wanted.name or wanted.server}")


def _opened(secret: Object, data: dict[str, bytes], destination: Destination, project: str) -> There:
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
    text = Hidden(orjson.dumps(_kubeconfig(destination.server, config if isinstance(config, dict) else {}, what)))
    return There(remote_cluster.opened(text, what), destination, spaces, False, owner)


def _kubeconfig(server: str, config: dict[str, Any], what: str) -> dict[str, Any]:
    for name in ("awsAuthConfig", "execProviderConfig"):
        if config.get(name):
            raise ToolError(f"{what}: its `{name}` is not followed: what is in a Secret runs nothing here")
    tls = config.get("tlsClientConfig") or {}
    cluster = {
        "server": server, "certificate-authority-data": tls.get("caData"), "tls-server-name": tls.get("serverName"),
        "insecure-skip-tls-verify": tls.get("insecure"),
    }  # fmt: skip
    user = {
        "token": config.get("bearerToken"), "username": config.get("username"), "password": config.get("password"),
        "client-certificate-data": tls.get("certData"), "client-key-data": tls.get("keyData"),
    }  # fmt: skip
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {key: held for key, held in cluster.items() if held}}],
        "users": [{"name": "u", "user": {key: held for key, held in user.items() if held}}],
    }  # fmt: skip
