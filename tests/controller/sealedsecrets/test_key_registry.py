"""The keys of the controller, in the Secrets of a real API server."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest

from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.controller.sealedsecrets.key_registry import DAY_SECONDS, KeyRegistry
from gatekeeper.sealedsecrets import keyring
from tests.cluster.conftest import api_server, dynamic_client
from tests.servers.cluster import Cluster

__all__ = ["api_server", "dynamic_client"]
SECRETS = "/api/v1/namespaces/default/secrets"


def wait(condition: Callable[[], bool]) -> None:
    deadline = datetime.datetime.now() + datetime.timedelta(seconds=60)
    while not condition():
        assert datetime.datetime.now() < deadline


def test_missing_key_is_created_once_and_renewed_when_it_is_old(
    api_server: Cluster, dynamic_client: DynamicClient, capsys: pytest.CaptureFixture[str]
) -> None:
    changes: list[str] = []
    registry = KeyRegistry(dynamic_client, "default", 30, lambda: changes.append("changed"), changes.append, bits=2048)
    assert registry.list_keys() == []
    assert registry.renew_if_due() == DAY_SECONDS and changes == ["changed"]
    [key] = registry.list_keys()
    assert registry.newest is not None and registry.newest.key.fingerprint == key.fingerprint
    assert registry.renew_if_due() == DAY_SECONDS and registry.list_keys() == [key]
    logged = capsys.readouterr().out
    assert "created a new sealing key" in logged and "PRIVATE" not in logged


def test_keys_of_the_namespace_are_watched_and_a_broken_one_is_reported(
    api_server: Cluster, dynamic_client: DynamicClient, capsys: pytest.CaptureFixture[str]
) -> None:
    faults: list[str] = []
    registry = KeyRegistry(dynamic_client, "default", 0, lambda: None, faults.append, bits=2048)
    registry.reflector.start()
    try:
        wait(registry.reflector.is_synced.is_set)
        count, now = len(registry.list_keys()), datetime.datetime.now(datetime.UTC)
        valid = keyring.create_key_pair(2048, 30, now)
        future = keyring.create_key_pair(2048, 30, now + datetime.timedelta(days=1))
        api_server.make(SECRETS, keyring.build_key_secret(*valid, "valid", "default"))
        api_server.make(SECRETS, keyring.build_key_secret(*future, "future", "default"))
        api_server.make(SECRETS, keyring.build_key_secret(valid[0], future[1], "broken", "default"))
        wait(lambda: len(registry.list_keys()) == count + 2 and "tls.key" in capsys.readouterr().out)
        certificate = keyring.parse_certificate(future[0], "future", must_be_valid=False)
        # The newest key opens, but its certificate does not seal before it is valid.
        assert registry.list_keys()[0].fingerprint == certificate.fingerprint
        assert registry.newest is not None and registry.newest.key.fingerprint != certificate.fingerprint
        api_server.ask("DELETE", f"{SECRETS}/future")
        wait(lambda: len(registry.list_keys()) == count + 1)
    finally:
        registry.reflector.stop()
    assert faults == []
