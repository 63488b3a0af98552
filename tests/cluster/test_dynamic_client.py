"""The dynamic client against a real API server: discovery, writes that detect conflicts, and hidden Secret values."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.cluster.dynamic_client import (
    CONFLICT,
    FORBIDDEN,
    INVALID,
    ApiStatusError,
    DynamicClient,
    Kind,
)
from gatekeeper.errors import ToolError

CONFIG_MAPS = Kind("v1", "configmaps", True)


def config_map(name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "prod"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


@pytest.mark.parametrize(
    ("kind", "namespace", "name", "path"),
    [
        (CONFIG_MAPS, "prod", "a", "/api/v1/namespaces/prod/configmaps/a"),
        (CONFIG_MAPS, "", "", "/api/v1/configmaps"),
        (Kind("v1", "namespaces", False), "prod", "prod", "/api/v1/namespaces/prod"),
        (Kind("apps/v1", "deployments", True), "prod", "", "/apis/apps/v1/namespaces/prod/deployments"),
    ],
)
def test_path_of_a_kind(kind: Kind, namespace: str, name: str, path: str) -> None:
    assert kind.path(namespace, name) == path


def test_discovery_finds_the_newest_served_version(dynamic_client: DynamicClient) -> None:
    assert dynamic_client.find_kind("v1", "ConfigMap") == CONFIG_MAPS
    assert dynamic_client.find_kind("v1", "Nothing") is None
    newest = dynamic_client.find_newest_kind("apps", ("v9", "v1"), "Deployment")
    assert newest == Kind("apps/v1", "deployments", True)
    assert dynamic_client.require_kind("apps", ("v1",), "Deployment", "Kubernetes") == newest
    with pytest.raises(ToolError, match=r"has no Widget of example\.com: install the CRDs of Example"):
        dynamic_client.require_kind("example.com", ("v1",), "Widget", "Example")
    assert ("ConfigMap", CONFIG_MAPS) in list(dynamic_client.list_kinds())


def test_objects_are_created_listed_patched_and_deleted(dynamic_client: DynamicClient) -> None:
    created = dynamic_client.create(CONFIG_MAPS, config_map("life", a="1"))
    dynamic_client.patch(CONFIG_MAPS, created, {"metadata": {"labels": {"life": "yes"}}})
    [listed] = dynamic_client.list(CONFIG_MAPS, "prod", "life=yes")
    assert (listed["apiVersion"], listed["kind"], listed["data"]) == ("v1", "ConfigMap", {"a": "1"})
    for write in (dynamic_client.replace, lambda kind, value: dynamic_client.patch(kind, value, {"data": {"a": "2"}})):
        with pytest.raises(ApiStatusError, match="ConfigMap prod/life: ") as stale:
            write(CONFIG_MAPS, created)
        assert (stale.value.code, stale.value.reason) == (CONFLICT, "Conflict")
    # The uid of another object with the same name protects this one.
    with pytest.raises(ApiStatusError):
        dynamic_client.delete(CONFIG_MAPS, "prod", "life", "00000000-0000-0000-0000-000000000000")
    dynamic_client.delete(CONFIG_MAPS, "prod", "life", created["metadata"]["uid"])
    dynamic_client.delete(CONFIG_MAPS, "prod", "life", created["metadata"]["uid"])
    assert dynamic_client.get(CONFIG_MAPS, "prod", "life") is None


def test_dry_run_of_an_apply_writes_nothing(dynamic_client: DynamicClient) -> None:
    assert dynamic_client.apply(CONFIG_MAPS, config_map("dry", a="1"), "test", True)["data"] == {"a": "1"}
    assert dynamic_client.get(CONFIG_MAPS, "prod", "dry") is None


def test_message_about_a_secret_repeats_no_value(dynamic_client: DynamicClient) -> None:
    secret: dict[str, Any] = {"apiVersion": "v1", "metadata": {"name": "bad", "namespace": "prod"}}
    secret["stringData"] = {"not a valid key hunter2": "hunter2"}
    with pytest.raises(ApiStatusError) as refused:
        dynamic_client.create(Kind("v1", "secrets", True), secret)
    assert refused.value.code == INVALID and str(refused.value) == "secrets prod/bad: Invalid"


def test_impersonated_user_has_only_its_own_rights(dynamic_client: DynamicClient) -> None:
    nobody = dynamic_client.impersonate("system:serviceaccount:prod:nobody")
    with pytest.raises(ApiStatusError) as refused:
        nobody.get(CONFIG_MAPS, "prod", "x")
    assert refused.value.code == FORBIDDEN and dynamic_client.get(CONFIG_MAPS, "prod", "x") is None


def test_immutable_field_is_distinguished_from_other_rejections(dynamic_client: DynamicClient) -> None:
    dynamic_client.create(CONFIG_MAPS, {**config_map("fixed", a="1"), "immutable": True})
    with pytest.raises(ApiStatusError) as refused:
        dynamic_client.apply(CONFIG_MAPS, config_map("fixed", a="2"), "test", False)
    assert refused.value.is_immutable
    with pytest.raises(ApiStatusError) as invalid:
        dynamic_client.apply(CONFIG_MAPS, config_map("Not Valid"), "test", False)
    assert not invalid.value.is_immutable
