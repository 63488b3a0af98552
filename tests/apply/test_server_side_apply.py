"""Server-side apply against a real API server: what decides about a change is its cause, never the text of a message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gatekeeper.apply import server_side_apply
from gatekeeper.apply.changes import ApplyOptions, ChangeCause
from gatekeeper.cluster import client
from gatekeeper.cluster.dynamic_client import DynamicClient
from tests.servers import cluster as servers


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DynamicClient]:
    with (
        servers.running(tmp_path_factory.mktemp("cluster")) as found,
        client.connect(found.kubeconfig) as dynamic,
    ):
        found.make("/api/v1/namespaces", {"metadata": {"name": "prod"}})
        yield dynamic


def config_map(name: str, namespace: str = "prod", value: str = "1") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": value}}


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def use_defaults(value: dict[str, Any], live: dict[str, Any] | None) -> ApplyOptions:
    return ApplyOptions()


def test_error_that_quotes_the_words_of_a_missing_kind_is_still_an_error(cluster: DynamicClient) -> None:
    # The API server quotes the invalid name in its message.
    stages = [[namespace("prod")], [config_map("the name is not there")]]
    changes = server_side_apply.plan_changes(cluster, stages, use_defaults)
    assert changes[1].action == "failed" and "is not there" in changes[1].reason
    assert changes[1].cause is ChangeCause.NONE


def test_missing_kind_or_namespace_is_excused_only_where_the_same_run_creates_it(cluster: DynamicClient) -> None:
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a", "namespace": "prod"}}
    [late_map, late_widget] = server_side_apply.plan_changes(cluster, [[config_map("x", "new"), widget]], use_defaults)
    assert (late_map.action, late_map.cause) == ("failed", ChangeCause.MISSING_NAMESPACE)
    assert (late_widget.action, late_widget.cause) == ("failed", ChangeCause.MISSING_KIND)
    _, planned = server_side_apply.plan_changes(cluster, [[namespace("new")], [config_map("x", "new")]], use_defaults)
    assert (planned.action, planned.cause) == ("create", ChangeCause.DEPENDENCY_IN_SAME_RUN)


def test_stage_with_a_failed_object_is_not_applied(cluster: DynamicClient) -> None:
    stages = [[config_map("good"), config_map("Bad Name")], [config_map("later")]]
    changes = server_side_apply.apply_stages(cluster, stages, use_defaults)
    assert [(change.action, change.cause) for change in changes] == [
        ("skip", ChangeCause.STAGE_FAILED),
        ("failed", ChangeCause.NONE),
    ]
    kind = cluster.find_kind("v1", "ConfigMap")
    assert kind is not None and cluster.get(kind, "prod", "good") is None and cluster.get(kind, "prod", "later") is None


def test_immutable_object_is_recreated_only_where_that_is_allowed(cluster: DynamicClient) -> None:
    fixed = {**config_map("fixed"), "immutable": True}
    server_side_apply.apply_stages(cluster, [[fixed]], use_defaults)
    kind = cluster.find_kind("v1", "ConfigMap")
    assert kind is not None
    before = cluster.get(kind, "prod", "fixed")
    other = {**config_map("fixed", value="2"), "immutable": True}
    [refused] = server_side_apply.apply_stages(cluster, [[other]], use_defaults)
    assert (refused.action, refused.cause) == ("failed", ChangeCause.NONE)
    [forced] = server_side_apply.apply_stages(cluster, [[other]], lambda value, live: ApplyOptions(is_forced=True))
    assert (forced.action, forced.cause) == ("configure", ChangeCause.RECREATE)
    now = cluster.get(kind, "prod", "fixed")
    assert before is not None and now is not None
    assert now["data"] == {"a": "2"} and now["metadata"]["uid"] != before["metadata"]["uid"]
