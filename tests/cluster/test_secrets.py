"""Secrets and ConfigMaps of a real cluster: values stay hidden, and a write never overwrites another client's."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.cluster import secrets
from gatekeeper.cluster.dynamic_client import DynamicClient

MANAGER = "test"


def secret(name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "prod", "labels": {"managed": "true"}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


def test_values_are_read_and_not_printed(dynamic_client: DynamicClient) -> None:
    secrets.write_secret(dynamic_client, secret("read", password="hunter2"), MANAGER, True)
    values = secrets.read_secret(dynamic_client, "prod", "read")
    assert values is not None and values["password"].reveal() == b"hunter2" and "hunter2" not in repr(values)
    assert secrets.read_data(dynamic_client, "prod", "Secret", "read") is not None
    assert secrets.read_text(dynamic_client, "Secret", "prod", "read", "password") == "hunter2"
    assert secrets.read_text(dynamic_client, "Secret", "prod", "read", "other") is None
    assert secrets.read_secret(dynamic_client, "prod", "nothing") is None
    assert secrets.get_secret(dynamic_client, "prod", "nothing") is None


def test_config_map_is_read_like_a_secret(dynamic_client: DynamicClient) -> None:
    metadata = {"name": "texts", "namespace": "prod"}
    value = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "é"}}
    dynamic_client.create(secrets.CONFIG_MAPS, value)
    assert secrets.read_text(dynamic_client, "ConfigMap", "prod", "texts", "a") == "é"
    assert secrets.read_data(dynamic_client, "prod", "ConfigMap", "nothing") is None


def test_write_conflicts_with_another_clients_change(dynamic_client: DynamicClient) -> None:
    secrets.write_secret(dynamic_client, secret("shared", a="1"), MANAGER, True)
    with pytest.raises(secrets.SecretConflictError):
        secrets.write_secret(dynamic_client, secret("shared", a="2"), MANAGER, True)
    read = secrets.get_secret(dynamic_client, "prod", "shared")
    assert read is not None and read["kind"] == "Secret"
    secrets.write_secret(dynamic_client, {**read, "data": {"a": "Mg=="}}, MANAGER, False)
    with pytest.raises(secrets.SecretConflictError) as conflict:
        secrets.write_secret(dynamic_client, {**read, "data": {"a": "Mw=="}}, MANAGER, False)
    assert "Mw" not in str(conflict.value)
    assert secrets.read_text(dynamic_client, "Secret", "prod", "shared", "a") == "2"


def test_listed_by_label_and_deleted_twice(dynamic_client: DynamicClient) -> None:
    secrets.write_secret(dynamic_client, secret("gone", a="1"), MANAGER, True)
    assert "gone" in secrets.list_secrets(dynamic_client, "prod", "managed=true")
    assert secrets.list_secrets(dynamic_client, "prod", "managed=false") == {}
    for _ in range(2):
        secrets.delete_secret(dynamic_client, "prod", "gone")
    assert secrets.get_secret(dynamic_client, "prod", "gone") is None
