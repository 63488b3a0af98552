"""One API server with the kinds of Flux, for all tests of a worker that need a real cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from gatekeeper.apply.model import AuditEvent, ReconcileContext
from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.cluster import client
from gatekeeper.cluster.dynamic_client import DynamicClient, Kind
from gatekeeper.model import Verdict
from tests.flux.test_reconciler import CRD, FLUX, GIT, SOURCES
from tests.servers import cluster as servers
from tests.servers.cluster import Cluster

CONFIG_MAPS = Kind("v1", "configmaps", True)
KUSTOMIZATIONS = Kind("kustomize.toolkit.fluxcd.io/v1", "kustomizations", True)
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
REVISION = "main@sha1:" + "a" * 40


class FluxCluster(NamedTuple):
    """The API server, a client of it, and a client without any rights."""

    server: Cluster
    client: DynamicClient

    @property
    def client_without_rights(self) -> DynamicClient:
        """A client that the API server refuses everything."""
        return self.client.impersonate("system:serviceaccount:prod:nobody")

    def create_kustomization(self, value: dict[str, Any], **status: Any) -> dict[str, Any]:
        """Creates a Kustomization with a status; an existing one of that name is replaced."""
        path = f"{FLUX}/namespaces/flux-system/kustomizations/{value['metadata']['name']}"
        self.server.ask("PATCH", path, {"metadata": {"finalizers": None}})
        self.server.ask("DELETE", path)
        self.client.create(KUSTOMIZATIONS, value)
        if status:
            assert self.server.ask("PATCH", f"{path}/status", {"status": status})[0] == 200
        return self.get_kustomization(value["metadata"]["name"]) or {}

    def get_kustomization(self, name: str = "apps") -> dict[str, Any] | None:
        """A Kustomization; None if it does not exist."""
        return self.client.get(KUSTOMIZATIONS, "flux-system", name)

    def create_config_map(self, name: str, **labels: str) -> dict[str, Any]:
        """Creates a ConfigMap in the namespace `prod`."""
        metadata = {"name": name, "namespace": "prod", "labels": labels}
        return self.client.create(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})

    def has_config_map(self, name: str) -> bool:
        """Whether a ConfigMap exists in the namespace `prod`."""
        return self.client.get(CONFIG_MAPS, "prod", name) is not None

    def list_events(self) -> list[tuple[str, str]]:
        """Reason and message of the events about objects in the namespace `flux-system`."""
        events = self.server.ask("GET", "/api/v1/namespaces/flux-system/events")[1]["items"]
        return sorted((event["reason"], event["message"]) for event in events)

    def build_context(
        self, record: Callable[[AuditEvent], None] = lambda event: None, should_write: bool = True
    ) -> ReconcileContext:
        """The context of a reconcile whose verdict accepts everything."""
        return ReconcileContext(
            cluster=self.client,
            verdict=Verdict(),
            revision=REVISION,
            budget=PruneBudget(),
            approved_revision="",
            should_write=should_write,
            stop_event=threading.Event(),
            record=record,
        )


@pytest.fixture(scope="session")
def flux_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FluxCluster]:
    """An API server with Kustomizations, GitRepositories and the namespaces `flux-system` and `prod`."""
    with servers.running(tmp_path_factory.mktemp("flux")) as server:
        for definition in (CRD, SOURCES):
            server.make(DEFINITIONS, definition)
        server.wait(f"{FLUX}/kustomizations")
        server.wait(f"{GIT}/gitrepositories")
        for name in ("flux-system", "prod"):
            server.make("/api/v1/namespaces", {"metadata": {"name": name}})
        with client.connect(server.kubeconfig) as connection:
            yield FluxCluster(server, connection)


@pytest.fixture
def flux_cluster(flux_server: FluxCluster) -> Iterator[FluxCluster]:
    """The API server, without the objects of other tests afterwards."""
    yield flux_server
    for path in (
        f"{GIT}/namespaces/flux-system/gitrepositories",
        "/api/v1/namespaces/flux-system/events",
        "/api/v1/namespaces/flux-system/secrets",
        "/api/v1/namespaces/prod/configmaps",
        "/apis/apps/v1/namespaces/prod/deployments",
    ):
        flux_server.server.ask("DELETE", path)
