"""The copy of a reflector follows a real API server; events that cannot be read are errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from gatekeeper.cluster.dynamic_client import ApiStatusError, DynamicClient, Kind
from gatekeeper.cluster.reflector import GONE, Reflector
from gatekeeper.model import NamespacedName
from tests.servers.cluster import Cluster

CONFIG_MAPS = Kind("v1", "configmaps", True)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def build_reflector(cluster: DynamicClient, changes: list[Any], selector: str = "") -> Reflector[str]:
    def transform(value: dict[str, Any]) -> str | None:
        return str((value.get("data") or {}).get("a", "")) or None

    return Reflector(
        cluster, CONFIG_MAPS, transform, lambda *change: changes.append(change), selector, namespace="prod"
    )


def test_copy_follows_creation_change_and_deletion(api_server: Cluster, dynamic_client: DynamicClient) -> None:
    path = "/api/v1/namespaces/prod/configmaps"
    changes: list[Any] = []
    reflector = build_reflector(dynamic_client, changes, "watched=yes")
    api_server.make(path, {"metadata": {"name": "w", "labels": {"watched": "yes"}}, "data": {"a": "1"}})
    name = NamespacedName("prod", "w")
    reflector.start()
    assert reflector.is_synced.wait(30) and reflector.list_objects() == [(name, "1")]
    api_server.ask("PATCH", f"{path}/w", {"data": {"a": "2"}})
    wait_until(lambda: reflector.get(name) == "2")
    # An object that the transform ignores is as good as deleted.
    api_server.ask("PATCH", f"{path}/w", {"data": {"a": ""}})
    wait_until(lambda: reflector.get(name) is None)
    api_server.ask("PATCH", f"{path}/w", {"data": {"a": "3"}})
    wait_until(lambda: reflector.get(name) == "3")
    api_server.ask("DELETE", f"{path}/w")
    wait_until(lambda: reflector.get(name) is None)
    reflector.stop()
    expected = [(name, None, "1"), (name, "1", "2"), (name, "2", None), (name, None, "3"), (name, "3", None)]
    assert changes == expected


def test_error_event_ends_the_watch(dynamic_client: DynamicClient) -> None:
    reflector = build_reflector(dynamic_client, [])
    with pytest.raises(ApiStatusError, match="too old") as gone:
        reflector._handle_event({"type": "ERROR", "object": {"code": GONE, "message": "too old"}})
    assert gone.value.code == GONE
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}}
    assert reflector._handle_event(bookmark) == "7" and reflector.list_objects() == []
