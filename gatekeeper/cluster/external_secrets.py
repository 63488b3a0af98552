"""The ExternalSecrets, stores and namespaces of a cluster; and what is told of them there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gatekeeper.cluster.secrets import NOT_FOUND, translate_errors
from gatekeeper.errors import ToolError

if TYPE_CHECKING:
    from lightkube import Client

GROUP = "external-secrets.io"
# The newest that a cluster serves is read.
VERSIONS = ("v1", "v1beta1", "v1alpha1")
PLURALS = {
    "ExternalSecret": "externalsecrets",
    "SecretStore": "secretstores",
    "ClusterSecretStore": "clustersecretstores",
    "ClusterExternalSecret": "clusterexternalsecrets",
}
PAGE_SIZE = 500
FORBIDDEN = 403


def list_objects(client: Client) -> Iterator[dict[str, Any]]:
    """All of them, of the newest version that is served; kinds that the cluster does not know are left out.

    Raises:
        ToolError: it knows no ExternalSecrets.
    """
    from lightkube.core.exceptions import ApiError

    for kind in PLURALS:
        for version in VERSIONS:
            try:
                for one in client.list(
                    _resource_class(version, kind), namespace=_list_scope(kind), chunk_size=PAGE_SIZE
                ):
                    # What is on its way out is read no more.
                    if not (one.get("metadata") or {}).get("deletionTimestamp"):
                        yield {**one, "apiVersion": f"{GROUP}/{version}", "kind": kind}
                break
            except ApiError as error:
                if error.status.code != NOT_FOUND:
                    raise
        else:
            if kind == "ExternalSecret":
                raise ToolError(f"the cluster knows no ExternalSecrets of {GROUP}: install its resource definitions")


def list_namespaces(client: Client) -> dict[str, Mapping[str, str]] | None:
    """The namespaces of a cluster, with their labels; None for who may not list them."""
    from lightkube.core.exceptions import ApiError
    from lightkube.resources.core_v1 import Namespace

    held: Any = client.list(Namespace, chunk_size=PAGE_SIZE)
    try:
        return {one.metadata.name: one.metadata.labels or {} for one in held}
    except ApiError as error:
        if error.status.code == FORBIDDEN:
            return None
        raise


def write_status(client: Client, value: Mapping[str, Any], status: Mapping[str, Any]) -> None:
    """Writes the status of an object. It is left as it is where the object is gone, or was changed meanwhile.

    Raises:
        ToolError: the cluster refuses.
    """
    from lightkube.types import PatchType

    version, metadata = str(value["apiVersion"]).partition("/")[2], value["metadata"]
    status_of: Any = _resource_class(version, str(value["kind"])).Status
    patch = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": dict(status)}
    with translate_errors((NOT_FOUND, 409)):
        client.patch(status_of, metadata["name"], patch, namespace=metadata["namespace"], patch_type=PatchType.MERGE)


def create_event(client: Client, event: Mapping[str, Any]) -> None:
    """Makes an event.

    Raises:
        ToolError: the cluster refuses.
    """
    from lightkube.resources.core_v1 import Event

    made: Any = Event
    with translate_errors((NOT_FOUND,)):
        client.create(made.from_dict(event), namespace=event["metadata"]["namespace"])


def _list_scope(kind: str) -> str | None:
    return None if kind.startswith("Cluster") else "*"


def _resource_class(version: str, kind: str) -> Any:
    from lightkube import generic_resource

    make: Any = (
        generic_resource.create_global_resource
        if kind.startswith("Cluster")
        else generic_resource.create_namespaced_resource
    )
    return make(GROUP, version, kind, PLURALS[kind])
