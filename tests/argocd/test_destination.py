"""Destination clusters: this one, and those of cluster Secrets, against a real API server."""

from __future__ import annotations

import base64

import orjson
import pytest

from gatekeeper.argocd.application_spec import Destination
from gatekeeper.argocd.destination import IN_CLUSTER_NAME, IN_CLUSTER_SERVER, DestinationCluster, resolve_cluster
from gatekeeper.errors import ToolError
from tests.argocd.conftest import CONFIG_MAPS, ArgoCluster
from tests.servers.cluster import TOKEN


def resolve(cluster: ArgoCluster, project: str = "default", **fields: str) -> DestinationCluster:
    destination = Destination(**{"server": "", "name": "", "namespace": "prod", **fields})
    return resolve_cluster(cluster.client, "argocd", destination, project)


def config(cluster: ArgoCluster, **more: object) -> str:
    authority = base64.b64encode(cluster.server.certificate.read_bytes()).decode()
    return orjson.dumps({"bearerToken": TOKEN, "tlsClientConfig": {"caData": authority}, **more}).decode()


@pytest.mark.parametrize("fields", [{"server": IN_CLUSTER_SERVER}, {"name": IN_CLUSTER_NAME}])
def test_this_cluster_has_both_its_url_and_its_name(argocd_cluster: ArgoCluster, fields: dict[str, str]) -> None:
    found = resolve(argocd_cluster, **fields)
    assert found.cluster is argocd_cluster.client and found.is_in_cluster
    assert found.destination == Destination(IN_CLUSTER_SERVER, IN_CLUSTER_NAME, "prod")


def test_a_cluster_secret_is_found_by_name_and_by_url(argocd_cluster: ArgoCluster) -> None:
    url = argocd_cluster.server.url
    argocd_cluster.create_config_map("there", "prod", a="1")
    argocd_cluster.create_secret(
        "far", "cluster", name="far", server=f"{url}/", config=config(argocd_cluster), namespaces="prod, dev"
    )
    for fields in ({"name": "far"}, {"server": url}):
        found = resolve(argocd_cluster, **fields)
        assert not found.is_in_cluster and found.allowed_namespaces == ("prod", "dev")
        assert found.destination.name == "far" and found.owner_project == ""
        live = found.cluster.get(CONFIG_MAPS, "prod", "there")
        assert live is not None and live["data"] == {"a": "1"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"config": "{"}, "Secret argocd/bad: `config` is not valid JSON"),
        ({"config": '{"awsAuthConfig": {"clusterName": "x"}}'}, "Secret argocd/bad: `awsAuthConfig` is not supported"),
        ({"config": '{"execProviderConfig": {"command": "x"}}'}, "`execProviderConfig` is not supported"),
        ({"project": "other"}, "Secret argocd/bad: only the project other may use this cluster"),
    ],
)
def test_an_unusable_cluster_secret_is_an_error(
    argocd_cluster: ArgoCluster, data: dict[str, str], message: str
) -> None:
    argocd_cluster.create_secret("bad", "cluster", name="bad", server="https://bad.example.com", **data)
    with pytest.raises(ToolError) as caught:
        resolve(argocd_cluster, name="bad")
    assert message in str(caught.value)


def test_an_unknown_cluster_is_an_error_that_says_what_to_add(argocd_cluster: ArgoCluster) -> None:
    with pytest.raises(ToolError, match="no cluster Secret in namespace argocd for nowhere: add one with the label"):
        resolve(argocd_cluster, name="nowhere")
