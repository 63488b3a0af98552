"""What is told of a ClusterExternalSecret: in which namespaces there is what it asks for, and in which not.

Source: external-secrets `apis/externalsecrets/v1/clusterexternalsecret_types.go`,
`pkg/controllers/clusterexternalsecret/util.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.cluster.reflector import Name
from gatekeeper.externalsecrets import cluster_external_secret
from gatekeeper.externalsecrets.cluster_external_secret import KIND
from gatekeeper.kube.decoder import FieldError
from gatekeeper.kube.labels import Labels
from gatekeeper.model import at

FAILED = "one or more namespaces failed"


def tell(cluster: Objects, value: Object, spaces: Mapping[str, Labels], came: Mapping[Name, str]) -> None:
    """Writes the status, if it is another than before.

    Args:
        spaces: all namespaces, with their labels.
        came: of each ExternalSecret that was looked at, why it failed; empty where it did not.

    Raises:
        ToolError: the cluster does not take it.
    """
    kind, status = cluster.kind(value["apiVersion"], KIND), status_of(value, spaces, came)
    live = cluster.get(kind, "", value["metadata"]["name"]) if kind is not None else None
    if kind is None or live is None or all(at(live, ("status", key)) == held for key, held in status.items()):
        return
    cluster.patch_status(kind, live, status)


def status_of(value: Object, spaces: Mapping[str, Labels], came: Mapping[Name, str]) -> dict[str, Any]:
    """The status."""
    try:
        made = [
            (one["metadata"]["namespace"], one["metadata"]["name"])
            for one in cluster_external_secret.spread(value, spaces, True)
        ]
    except FieldError as error:
        return {"conditions": [{"type": "Ready", "status": "False", "message": str(error)}]}
    failed = [{"namespace": name[0], "reason": came[name]} for name in made if came.get(name)]
    good = [name[0] for name in made if came.get(name) == ""]
    condition = {"type": "Ready", "status": "False" if failed else "True", "message": FAILED if failed else ""}
    called = at(value, ("spec", "externalSecretName")) or value["metadata"]["name"]
    return {
        "externalSecretName": called, "provisionedNamespaces": good or None, "failedNamespaces": failed or None,
        "conditions": [condition],
    }  # fmt: skip
