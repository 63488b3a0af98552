"""The status of a ClusterExternalSecret: in which namespaces its ExternalSecret succeeded or failed.

Source: external-secrets `apis/externalsecrets/v1/clusterexternalsecret_types.go`,
`pkg/controllers/clusterexternalsecret/util.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.externalsecrets.cluster_external_secret import KIND, expand
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import Labels, NamespacedName, Object, get_field, name_of

FAILURE_MESSAGE = "one or more namespaces failed"


def write_status(
    cluster: DynamicClient,
    value: Object,
    namespaces: Mapping[str, Labels],
    failure_reasons: Mapping[NamespacedName, str],
) -> None:
    """Write the status, if it has changed.

    Args:
        namespaces: the labels of all namespaces, by name.
        failure_reasons: why each ExternalSecret that was synced failed; empty for a success.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    kind, status = cluster.find_kind(value["apiVersion"], KIND), build_status(value, namespaces, failure_reasons)
    live = cluster.get(kind, "", value["metadata"]["name"]) if kind is not None else None
    if kind is None or live is None or all(get_field(live, ("status", key)) == part for key, part in status.items()):
        return
    cluster.patch_status(kind, live, status)


def build_status(
    value: Object, namespaces: Mapping[str, Labels], failure_reasons: Mapping[NamespacedName, str]
) -> dict[str, Any]:
    """Build the status; see `write_status`."""
    try:
        names = [name_of(external_secret) for external_secret in expand(value, namespaces, is_complete=True)]
    except FieldError as error:
        return {"conditions": [{"type": "Ready", "status": "False", "message": str(error)}]}
    failed = [
        {"namespace": name.namespace, "reason": failure_reasons[name]} for name in names if failure_reasons.get(name)
    ]
    provisioned = [name.namespace for name in names if failure_reasons.get(name) == ""]
    condition = {"type": "Ready", "status": "False" if failed else "True", "message": FAILURE_MESSAGE if failed else ""}
    return {
        "externalSecretName": get_field(value, ("spec", "externalSecretName")) or value["metadata"]["name"],
        "provisionedNamespaces": provisioned or None,
        "failedNamespaces": failed or None,
        "conditions": [condition],
    }
