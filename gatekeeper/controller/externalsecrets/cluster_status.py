"""What is told of a ClusterExternalSecret: in which namespaces there is what it asks for, and in which not.

Source: external-secrets `apis/externalsecrets/v1/clusterexternalsecret_types.go`,
`pkg/controllers/clusterexternalsecret/util.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.externalsecrets import cluster_external_secret
from gatekeeper.externalsecrets.cluster_external_secret import KIND
from gatekeeper.kube.decoder import FieldError
from gatekeeper.kube.labels import Labels
from gatekeeper.kube.objects import NamespacedName, name_of
from gatekeeper.model import get_field

FAILURE_MESSAGE = "one or more namespaces failed"


def write_status(
    cluster: DynamicClient,
    value: Object,
    namespaces: Mapping[str, Labels],
    failure_reasons: Mapping[NamespacedName, str],
) -> None:
    """Writes the status, if it is another than before.

    Args:
        namespaces: all namespaces, with their labels.
        failure_reasons: of each ExternalSecret that was looked at, why it failed; empty where it did not.

    Raises:
        ToolError: the cluster does not take it.
    """
    kind, status = cluster.find_kind(value["apiVersion"], KIND), build_status(value, namespaces, failure_reasons)
    live = cluster.get(kind, "", value["metadata"]["name"]) if kind is not None else None
    if kind is None or live is None or all(get_field(live, ("status", key)) == held for key, held in status.items()):
        return
    cluster.patch_status(kind, live, status)


def build_status(
    value: Object, namespaces: Mapping[str, Labels], failure_reasons: Mapping[NamespacedName, str]
) -> dict[str, Any]:
    """The status."""
    try:
        made = [name_of(one) for one in cluster_external_secret.expand(value, namespaces, True)]
    except FieldError as error:
        return {"conditions": [{"type": "Ready", "status": "False", "message": str(error)}]}
    failed = [{"namespace": name[0], "reason": failure_reasons[name]} for name in made if failure_reasons.get(name)]
    good = [name[0] for name in made if failure_reasons.get(name) == ""]
    condition = {"type": "Ready", "status": "False" if failed else "True", "message": FAILURE_MESSAGE if failed else ""}
    called = get_field(value, ("spec", "externalSecretName")) or value["metadata"]["name"]
    return {
        "externalSecretName": called,
        "provisionedNamespaces": good or None,
        "failedNamespaces": failed or None,
        "conditions": [condition],
    }
