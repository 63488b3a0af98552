"""Writing what was decided to a real API server."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.externalsecrets.cluster_state import ClusterState, read_cluster_state
from gatekeeper.externalsecrets.decision import Decision
from gatekeeper.externalsecrets.external_secret_spec import build_empty_spec
from gatekeeper.externalsecrets.fetch_plan import FetchResult, StoreKey, StoreResult
from gatekeeper.externalsecrets.model import DataEntry, ExternalSecretSpec, RemoteRef, StoreRef
from gatekeeper.externalsecrets.secret_writer import SecretWriter
from gatekeeper.externalsecrets.sync import decide_one
from gatekeeper.externalsecrets.target.ownership import MANAGED_LABEL
from gatekeeper.model import NamespacedName
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.protocol import SecretRef
from tests.cluster.conftest import api_server, dynamic_client
from tests.servers.cluster import Cluster

__all__ = ["api_server", "dynamic_client"]
SECRETS = "/api/v1/namespaces/prod/secrets"
STORE = StoreRef("ClusterSecretStore", "vault")
FETCHED = FetchResult(
    {StoreKey("ClusterSecretStore", "", "vault"): StoreResult({SecretRef("k"): SecretBytes(b"new")}, [], 1, None)}
)


def spec(target: str) -> ExternalSecretSpec:
    empty = build_empty_spec("prod", "db")
    return empty._replace(data=(DataEntry("a", RemoteRef("k"), STORE),), target=empty.target._replace(name=target))


@pytest.fixture
def server(api_server: Cluster) -> Iterator[Cluster]:
    yield api_server
    for secret in api_server.ask("GET", SECRETS)[1]["items"]:
        api_server.ask("DELETE", f"{SECRETS}/{secret['metadata']['name']}")


def decide(client: DynamicClient, wanted: ExternalSecretSpec) -> tuple[ClusterState, Decision]:
    state = read_cluster_state(client, [wanted], {}, False)
    return state, decide_one(state, FETCHED, wanted)


def write(client: DynamicClient, state: ClusterState, decision: Decision) -> Decision:
    [written] = SecretWriter(client, state, FETCHED, 1_795_000_000.0).write_all([decision])
    return written


def content(server: Cluster, name: str) -> Any:
    status, secret = server.ask("GET", f"{SECRETS}/{name}")
    return base64.b64decode(secret["data"]["a"]) if status == 200 else None


def test_secret_is_created_changed_and_renamed(server: Cluster, dynamic_client: DynamicClient) -> None:
    assert write(dynamic_client, *decide(dynamic_client, spec("old"))).action == "create"
    assert content(server, "old") == b"new"
    server.ask("PATCH", f"{SECRETS}/old", {"data": {"a": "eA=="}})
    assert write(dynamic_client, *decide(dynamic_client, spec("old"))).action == "change"
    assert content(server, "old") == b"new"
    assert write(dynamic_client, *decide(dynamic_client, spec("new"))).action == "create"
    assert (content(server, "new"), content(server, "old")) == (b"new", None)


def test_secret_of_another_client_is_not_overwritten(server: Cluster, dynamic_client: DynamicClient) -> None:
    state, decision = decide(dynamic_client, spec("taken"))
    server.make(SECRETS, {"metadata": {"name": "taken"}, "data": {"a": "eA=="}})
    written = write(dynamic_client, state, decision)
    assert written.action == "failed" and "is not managed by an ExternalSecret" in written.reason
    assert content(server, "taken") == b"x"


def test_concurrent_change_leads_to_a_new_decision(server: Cluster, dynamic_client: DynamicClient) -> None:
    write(dynamic_client, *decide(dynamic_client, spec("db")))
    server.ask("PATCH", f"{SECRETS}/db", {"data": {"a": "eA=="}})
    state, decision = decide(dynamic_client, spec("db"))
    server.ask("PATCH", f"{SECRETS}/db", {"metadata": {"labels": {"other": "kept"}}})
    assert write(dynamic_client, state, decision).action == "change" and content(server, "db") == b"new"
    labels = server.ask("GET", f"{SECRETS}/db")[1]["metadata"]["labels"]
    assert (labels["other"], labels[MANAGED_LABEL]) == ("kept", "true")


def test_status_of_an_object_that_is_missing_is_not_an_error(server: Cluster, dynamic_client: DynamicClient) -> None:
    state, decision = decide(dynamic_client, spec("db"))
    metadata = {"name": "db", "namespace": "none", "uid": "1", "resourceVersion": "1"}
    value = {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": metadata}
    state = state._replace(objects={NamespacedName("prod", "db"): value})
    assert write(dynamic_client, state, decision).action == "create"
