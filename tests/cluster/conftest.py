"""A real API server that the tests of one module share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gatekeeper.cluster import client
from gatekeeper.cluster.dynamic_client import DynamicClient
from tests.servers import cluster as servers
from tests.servers.cluster import Cluster


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An API server with the namespace `prod`."""
    with servers.running(tmp_path_factory.mktemp("api-server")) as cluster:
        cluster.make("/api/v1/namespaces", {"metadata": {"name": "prod", "labels": {"tier": "live"}}})
        yield cluster


@pytest.fixture(scope="session")
def dynamic_client(api_server: Cluster) -> Iterator[DynamicClient]:
    """An administrator's client of it."""
    with client.connect(api_server.kubeconfig) as connection:
        yield connection
