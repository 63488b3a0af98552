"""Leases of a replica, against a real API server."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from gatekeeper.cluster import client
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.controller.runtime.leader_election import LEASE_KIND, LeaderElection, LeaseSettings
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.model import get_field
from tests.controller.deployment import until
from tests.servers import cluster as servers


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DynamicClient]:
    with servers.running(tmp_path_factory.mktemp("cluster")) as server, client.connect(server.kubeconfig) as connection:
        yield connection


def create(cluster: DynamicClient, name: str, identity: str, shards: int = 1) -> tuple[LeaderElection, threading.Event]:
    acquired = threading.Event()
    election = LeaderElection(
        cluster,
        LeaseSettings("default", name, identity, shards),
        Metrics(),
        acquired.set,
        lambda: {"example.com/by": identity},
    )
    return election, acquired


def test_a_lease_is_held_by_one_replica_and_released_when_it_stops(cluster: DynamicClient) -> None:
    first, first_acquired = create(cluster, "one", "a")
    second, second_acquired = create(cluster, "one", "b")
    assert not first.is_leader and not first.is_responsible_for("x")
    first.start()
    assert first_acquired.wait(10) and first.is_responsible_for("x")
    second.start()
    lease = cluster.get(LEASE_KIND, "default", "one")
    assert get_field(lease, ("spec", "holderIdentity")) == "a"
    assert get_field(lease, ("metadata", "annotations", "example.com/by")) == "a"
    assert not second_acquired.wait(3)
    first.stop()
    assert second_acquired.wait(10) and second.is_leader and not first.is_leader
    second.stop()


def test_shards_are_divided_among_the_replicas(cluster: DynamicClient) -> None:
    first, first_acquired = create(cluster, "many", "a", 4)
    second, _ = create(cluster, "many", "b", 4)
    keys = [f"key{number}" for number in range(50)]
    first.start()
    assert first_acquired.wait(10)
    until(lambda: all(first.is_responsible_for(key) for key in keys))
    second.start()
    until(lambda: 0 < sum(second.is_responsible_for(key) for key in keys) < len(keys))
    until(lambda: all(first.is_responsible_for(key) != second.is_responsible_for(key) for key in keys))
    second.stop()
    until(lambda: all(first.is_responsible_for(key) for key in keys), seconds=60)
    first.stop()
