"""Kinds of external-secrets in a real cluster that serves them in different versions, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import ToolError
from gatekeeper.externalsecrets import cluster_objects
from gatekeeper.externalsecrets.model import GROUP
from tests.cluster.conftest import api_server, dynamic_client
from tests.servers.cluster import Cluster

__all__ = ["api_server", "dynamic_client"]

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SCHEMA = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}


def definition(kind: str, scope: str, version: str) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
    versions = [{"name": version, "served": True, "storage": True, "schema": SCHEMA}]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "scope": scope, "names": names, "versions": versions},
    }


def test_objects_are_listed_in_the_newest_served_version(api_server: Cluster, dynamic_client: DynamicClient) -> None:
    with pytest.raises(ToolError, match=r"has no ExternalSecret of external-secrets\.io: install the CRDs"):
        list(cluster_objects.list_objects(dynamic_client))
    api_server.make(DEFINITIONS, definition("ExternalSecret", "Namespaced", "v1beta1"))
    api_server.make(DEFINITIONS, definition("ClusterSecretStore", "Cluster", "v1"))
    api = f"/apis/{GROUP}"
    api_server.wait(f"{api}/v1beta1/externalsecrets")
    api_server.wait(f"{api}/v1/clustersecretstores")
    kept = {"finalizers": ["example.com/keep"]}
    for name in ("live", "deleted"):
        value = {"apiVersion": f"{GROUP}/v1beta1", "kind": "ExternalSecret", "spec": {}}
        metadata = {"name": name, **kept}
        api_server.make(f"{api}/v1beta1/namespaces/prod/externalsecrets", {**value, "metadata": metadata})
    api_server.ask("DELETE", f"{api}/v1beta1/namespaces/prod/externalsecrets/deleted")
    store = {"apiVersion": f"{GROUP}/v1", "kind": "ClusterSecretStore", "metadata": {"name": "vault"}}
    api_server.make(f"{api}/v1/clustersecretstores", store)
    found = [
        (value["kind"], value["apiVersion"].rpartition("/")[2], value["metadata"]["name"])
        for value in cluster_objects.list_objects(dynamic_client)
    ]
    assert found == [("ExternalSecret", "v1beta1", "live"), ("ClusterSecretStore", "v1", "vault")]


def test_namespaces_are_unknown_without_the_right_to_list_them(dynamic_client: DynamicClient) -> None:
    namespaces = cluster_objects.list_namespaces(dynamic_client)
    assert namespaces is not None and namespaces["prod"]["tier"] == "live"
    assert cluster_objects.list_namespaces(dynamic_client.impersonate("nobody")) is None
