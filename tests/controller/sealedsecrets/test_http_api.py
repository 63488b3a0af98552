"""The HTTP API for kubeseal."""

from __future__ import annotations

import ipaddress
from typing import Any

import orjson
import pytest

from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.controller.runtime.http_server import HttpRequest
from gatekeeper.controller.sealedsecrets.http_api import BURST_REQUESTS, SealedSecretApi, list_api_server_networks
from gatekeeper.controller.sealedsecrets.key_registry import KeyRegistry
from gatekeeper.sealedsecrets import sealedsecret
from tests.cluster.conftest import api_server, dynamic_client
from tests.servers.cluster import Cluster

__all__ = ["api_server", "dynamic_client"]
ALLOWED = "10.0.0.1"


@pytest.fixture
def registry(api_server: Cluster, dynamic_client: DynamicClient) -> KeyRegistry:
    return KeyRegistry(dynamic_client, "default", 30, lambda: None, lambda reason: None, bits=2048)


def ask(
    api: SealedSecretApi, path: str, body: Any = b"", address: str = ALLOWED, method: str = "POST"
) -> tuple[int, bytes]:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    request = HttpRequest(method, path, {}, content, address)
    response = api.handle_request(request)
    return (0, b"") if response is None else (response.status, response.body)


def create_api(registry: KeyRegistry) -> SealedSecretApi:
    return SealedSecretApi(registry, lambda: [ipaddress.ip_network(f"{ALLOWED}/32")])


def test_certificate_is_public_once_there_is_a_key(registry: KeyRegistry) -> None:
    api = create_api(registry)
    assert ask(api, "/v1/cert.pem", address="192.0.2.1")[0] == 503
    registry.renew_if_due()
    status, body = ask(api, "/v1/cert.pem", address="192.0.2.1", method="GET")
    assert status == 200 and body.startswith(b"-----BEGIN CERTIFICATE-----")
    assert ask(api, "/metrics") == (0, b"")


@pytest.mark.parametrize("address", ["192.0.2.1", "::1", "nonsense", ""])
def test_other_requests_are_allowed_to_the_api_server_only(registry: KeyRegistry, address: str) -> None:
    assert ask(create_api(registry), "/v1/verify", {}, address)[0] == 403


def test_requests_that_are_not_a_sealed_secret_are_refused(registry: KeyRegistry) -> None:
    for body in (b"{", b"[]", {"kind": "Secret"}):
        assert ask(create_api(registry), "/v1/verify", body, f"::ffff:{ALLOWED}")[0] == 400
    assert ask(create_api(registry), "/v1/rotate", method="GET")[0] == 405


def test_requests_are_limited(registry: KeyRegistry) -> None:
    api = create_api(registry)
    statuses = [ask(api, "/v1/verify", b"{")[0] for _ in range(int(BURST_REQUESTS) + 3)]
    assert statuses[: int(BURST_REQUESTS)] == [400] * int(BURST_REQUESTS) and 429 in statuses


def test_value_is_verified_and_resealed_for_the_newest_key(registry: KeyRegistry) -> None:
    registry.renew_if_due()
    assert registry.newest is not None
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"a": "s3cr3t"}}
    sealed = sealedsecret.seal_secret(secret, registry.newest.certificate, "", "prod", False)
    assert ask(create_api(registry), "/v1/verify", sealed) == (200, b"")
    status, body = ask(create_api(registry), "/v1/rotate", sealed)
    assert status == 200 and orjson.loads(body) == sealed
    moved = {**sealed, "metadata": {**sealed["metadata"], "namespace": "other"}}
    assert ask(create_api(registry), "/v1/verify", moved)[0] == ask(create_api(registry), "/v1/rotate", moved)[0] == 409


def test_networks_of_the_api_server_are_read_from_the_cluster(
    api_server: Cluster, dynamic_client: DynamicClient
) -> None:
    assert all(network.num_addresses == 1 for network in list_api_server_networks(dynamic_client))
