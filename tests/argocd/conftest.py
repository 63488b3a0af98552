"""One API server with Argo CD's resource definitions, for all tests of a worker that need a real cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from gatekeeper.cluster import client
from gatekeeper.cluster.dynamic_client import DynamicClient, Kind
from gatekeeper.cluster.secrets import SECRETS
from tests.controller.argocd import test_applications
from tests.servers import cluster as servers
from tests.servers.cluster import Cluster

CONFIG_MAPS = Kind("v1", "configmaps", True)
APPLICATIONS = Kind("argoproj.io/v1alpha1", "applications", True)


class ArgoCluster(NamedTuple):
    """The API server and a client of it."""

    server: Cluster
    client: DynamicClient

    def create_secret(self, name: str, secret_type: str = "", /, **data: str) -> None:
        """Create a Secret of Argo CD; an existing one of that name is replaced."""
        self.server.ask("DELETE", f"/api/v1/namespaces/argocd/secrets/{name}")
        labels = {"argocd.argoproj.io/secret-type": secret_type} if secret_type else {}
        metadata = {"name": name, "namespace": "argocd", "labels": labels}
        self.client.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})

    def create_config_map(self, name: str, namespace: str = "argocd", /, **data: str) -> dict[str, Any]:
        """Create a ConfigMap; an existing one of that name is replaced."""
        self.server.ask("DELETE", f"/api/v1/namespaces/{namespace}/configmaps/{name}")
        metadata = {"name": name, "namespace": namespace}
        value = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        return self.client.create(CONFIG_MAPS, value)

    def delete_all(self, path: str) -> None:
        """Delete all objects of a kind in a namespace."""
        self.server.ask("DELETE", f"{path}?propagationPolicy=Background")


@pytest.fixture(scope="session")
def argocd_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArgoCluster]:
    """An API server with Applications, AppProjects and the namespaces `argocd` and `prod`."""
    with servers.running(tmp_path_factory.mktemp("cluster")) as server:
        for kind, plural in (("Application", "applications"), ("AppProject", "appprojects")):
            server.make(test_applications.CRDS, test_applications.definition(kind, plural))
            server.wait(f"/apis/argoproj.io/v1alpha1/{plural}")
        for name in ("argocd", "prod"):
            server.make("/api/v1/namespaces", {"metadata": {"name": name}})
        with client.connect(server.kubeconfig) as connection:
            yield ArgoCluster(server, connection)
