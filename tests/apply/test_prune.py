"""Pruning in a real cluster: objects of other owners are kept, and a dry plan deletes nothing."""

from __future__ import annotations

from typing import Any

from gatekeeper.apply import prune
from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.cluster.dynamic_client import DynamicClient
from tests.apply.test_server_side_apply import cluster, config_map

__all__ = ["cluster"]


def keep_foreign(live: dict[str, Any]) -> str:
    return "it belongs to another owner" if live["metadata"].get("labels") else ""


def test_prune_keeps_objects_of_other_owners(cluster: DynamicClient) -> None:
    kind = cluster.find_kind("v1", "ConfigMap")
    assert kind is not None
    foreign = config_map("foreign")
    foreign["metadata"]["labels"] = {"owner": "other"}
    for value in (config_map("own"), foreign):
        cluster.create(kind, value)
    entries = [InventoryEntry("prod", name, "", "ConfigMap", "v1") for name in ("own", "foreign", "missing")]
    entries.append(InventoryEntry("prod", "x", "example.com", "Widget", "v1"))
    plan = prune.plan_prune(cluster, entries, keep_foreign)
    assert [result.action for result in plan] == ["delete", "keep", "gone", "gone"]
    assert cluster.get(kind, "prod", "own") is not None
    pruned = prune.prune_objects(cluster, plan, keep_foreign)
    assert pruned == plan and pruned[1].reason == "it belongs to another owner"
    assert cluster.get(kind, "prod", "own") is None and cluster.get(kind, "prod", "foreign") is not None


def test_object_that_changed_owner_after_the_plan_is_kept(cluster: DynamicClient) -> None:
    kind = cluster.find_kind("v1", "ConfigMap")
    assert kind is not None
    created = cluster.create(kind, config_map("moved"))
    plan = prune.plan_prune(cluster, [InventoryEntry("prod", "moved", "", "ConfigMap", "v1")], keep_foreign)
    cluster.patch(kind, created, {"metadata": {"labels": {"owner": "other"}}})
    [result] = prune.prune_objects(cluster, plan, keep_foreign)
    assert result.action == "keep" and cluster.get(kind, "prod", "moved") is not None


def test_refused_deletion_is_a_failure_with_its_reason(cluster: DynamicClient) -> None:
    kind = cluster.find_kind("v1", "ConfigMap")
    assert kind is not None
    cluster.create(kind, config_map("protected"))
    entry = InventoryEntry("prod", "protected", "", "ConfigMap", "v1")
    plan = prune.plan_prune(cluster, [entry], keep_foreign)
    nobody = cluster.impersonate("system:serviceaccount:prod:nobody")
    [result] = prune.prune_objects(nobody, plan, keep_foreign)
    assert result.action == "failed" and "forbidden" in result.reason
