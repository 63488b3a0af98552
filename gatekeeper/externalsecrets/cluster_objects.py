"""Reading the ExternalSecrets, stores and namespaces of a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gatekeeper.cluster.dynamic_client import FORBIDDEN, ApiStatusError, DynamicClient, Kind
from gatekeeper.externalsecrets.model import GROUP
from gatekeeper.model import Object, read_labels

# The newest version that a cluster serves is read.
VERSIONS = ("v1", "v1beta1", "v1alpha1")
KINDS = ("ExternalSecret", "SecretStore", "ClusterSecretStore", "ClusterExternalSecret")
NAMESPACES = Kind("v1", "namespaces", False)


def list_objects(cluster: DynamicClient) -> Iterator[Object]:
    """All objects of external-secrets that are not being deleted; kinds that the cluster does not serve are left out.

    Raises:
        ToolError: the cluster does not serve ExternalSecrets, refuses, or does not answer.
    """
    cluster.require_kind(GROUP, VERSIONS, "ExternalSecret", "external-secrets")
    for name in KINDS:
        kind = cluster.find_newest_kind(GROUP, VERSIONS, name)
        for value in cluster.list(kind) if kind is not None else ():
            if not value["metadata"].get("deletionTimestamp"):
                yield {**value, "kind": name}


def list_namespaces(cluster: DynamicClient) -> dict[str, Mapping[str, str]] | None:
    """The labels of each namespace, by name; None without the right to list namespaces.

    Raises:
        ToolError: the cluster does not answer.
    """
    try:
        return {value["metadata"]["name"]: read_labels(value) for value in cluster.list(NAMESPACES)}
    except ApiStatusError as error:
        if error.code == FORBIDDEN:
            return None
        raise
