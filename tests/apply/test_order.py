"""What stands where: the order of applying, inventories, words on objects, the budget, and what differs."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.apply import diff, inventory, order, prune_budget
from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.flux import ownership


def one(
    kind: str, name: str = "a", namespace: str = "", api: str = "v1", *, more: Any = None, **metadata: Any
) -> dict[str, Any]:
    space = {"namespace": namespace} if namespace else {}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, **space, **metadata, **(more or {})}}


KUSTOMIZATION = {"metadata": {"name": "apps", "namespace": "flux-system"}, "spec": {}}


def test_kinds_come_in_the_order_of_flux_and_in_its_stages() -> None:
    kinds = [
        "CustomResourceDefinition",
        "Namespace",
        "ClusterRole",
        "StorageClass",
        "ServiceAccount",
        "ConfigMap",
        "Secret",
        "Service",
        "Deployment",
        "CronJob",
        "Job",
        "Pod",
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    ]
    objects = [one(kind) for kind in kinds]
    random.Random(1).shuffle(objects)
    assert [value["kind"] for value in order.sort_objects(objects)] == kinds
    stages = [[value["kind"] for value in stage] for stage in order.split_stages(objects)]
    assert stages == [kinds[:3], ["StorageClass"], kinds[4:]]
    same = [one("ConfigMap", name, space) for space in ("b", "a") for name in ("y", "x")]
    names = [(value["metadata"]["namespace"], value["metadata"]["name"]) for value in order.sort_objects(same)]
    assert names == [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (InventoryEntry("prod", "web", "apps", "Deployment", "v1"), "prod_web_apps_Deployment"),
        (InventoryEntry("", "prod", "", "Namespace", "v1"), "_prod__Namespace"),
        (
            InventoryEntry("", "system:node", "rbac.authorization.k8s.io", "ClusterRole", "v1"),
            "_system__node_rbac.authorization.k8s.io_ClusterRole",
        ),
    ],
)
def test_an_inventory_is_read_as_flux_writes_it(entry: InventoryEntry, text: str) -> None:
    assert entry.id == text and inventory.parse_entry({"id": text, "v": "v1"}) == entry


NAMES = st.from_regex(r"[a-z]([a-z0-9.-]*[a-z0-9])?", fullmatch=True)


@given(st.one_of(st.just(""), NAMES), NAMES, st.one_of(st.just(""), NAMES), st.sampled_from(["Job", "ConfigMap"]))
def test_every_entry_comes_back(namespace: str, name: str, group: str, kind: str) -> None:
    entry = InventoryEntry(namespace, name, group, kind, "v1")
    assert inventory.parse_entry({"id": entry.id, "v": "v1"}) == entry


@pytest.mark.parametrize("held", [None, {}, {"id": "a"}, {"id": "a_b", "v": "v1"}, {"id": 7, "v": "v1"}, "text"])
def test_what_is_no_entry_is_none(held: Any) -> None:
    assert inventory.parse_entry(held) is None


def test_what_only_changed_its_version_is_not_gone() -> None:
    before = [
        InventoryEntry("a", "x", "apps", "Deployment", "v1beta1"),
        InventoryEntry("a", "y", "", "ConfigMap", "v1"),
    ]
    assert inventory.list_removed(before, [one("Deployment", "x", "a", "apps/v1")]) == before[1:]


def test_words_on_objects_count_in_labels_and_annotations_in_any_case() -> None:
    for field in ("labels", "annotations"):
        value = one(
            "ConfigMap", more={field: {f"{ownership.GROUP}/ssa": "iGnOrE", f"{ownership.GROUP}/prune": "Disabled"}}
        )
        assert ownership.is_skipped(value, None) and ownership.is_skipped(one("A"), value)
        owner = {"metadata": {"name": "apps", "namespace": "flux-system"}}
        [mine] = ownership.add_owner_labels([value], owner)
        assert "disables pruning" in ownership.find_keep_reason(owner, mine) and "labels" in ownership.find_keep_reason(
            owner, value
        )
        assert not ownership.find_keep_reason(owner, ownership.add_owner_labels([one("ConfigMap")], owner)[0])
    present = one("ConfigMap", annotations={f"{ownership.GROUP}/ssa": "IfNotPresent"})
    assert not ownership.is_skipped(present, None) and ownership.is_skipped(present, one("ConfigMap"))


def test_objects_get_the_labels_of_who_applies_them() -> None:
    common = {"labels": {"team": "shop"}, "annotations": {"note": "n"}}
    kustomization = {**KUSTOMIZATION, "spec": {"commonMetadata": common}}
    given_ = one("ConfigMap", labels={"own": "1"})
    [value] = ownership.add_owner_labels([given_], kustomization)
    labels = {"own": "1", "team": "shop", ownership.NAME_LABEL: "apps", ownership.NAMESPACE_LABEL: "flux-system"}
    assert value["metadata"]["labels"] == labels and value["metadata"]["annotations"] == {"note": "n"}
    assert ownership.is_owned_by(value, kustomization) and not ownership.is_owned_by(given_, kustomization)
    assert given_["metadata"]["labels"] == {"own": "1"}


def entries(count: int, kind: str = "ConfigMap") -> list[InventoryEntry]:
    return [InventoryEntry("a", f"x{number}", "", kind, "v1") for number in range(count)]


@pytest.mark.parametrize(
    ("gone", "before", "is_empty", "words"),
    [
        (entries(0), 5, False, ""),
        (entries(0), 0, True, ""),
        (entries(1), 2, False, ""),
        (entries(3), 100, False, ""),
        (entries(11), 100, False, "more than 10 at once"),
        (entries(3), 5, False, "3 of 5 objects would be deleted, more than 50%"),
        (entries(1), 1, True, "all 1 objects would be deleted"),
        (entries(1, "Namespace"), 100, False, "Namespace a/x0 would be deleted"),
        (entries(1, "PersistentVolumeClaim"), 100, False, "its data or dependents"),
    ],
)
def test_more_than_the_budget_waits(gone: list[InventoryEntry], before: int, is_empty: bool, words: str) -> None:
    found = prune_budget.find_excess(gone, before, is_empty, PruneBudget())
    assert words in found and bool(found) == bool(words)


def test_what_differs_is_told_by_path() -> None:
    live = one("Deployment", labels={"a": "1"}) | {"spec": {"replicas": 1, "list": [1, 2]}, "status": {"x": 1}}
    made = one("Deployment", labels={"a": "2"}) | {"spec": {"replicas": 2, "list": [1, 3], "new": 1}}
    made["metadata"]["resourceVersion"] = "7"
    found = diff.list_differences(made, live)
    assert found == [("metadata", "labels", "a"), ("spec", "list", 1), ("spec", "new"), ("spec", "replicas")]
    assert diff.list_differences(live, live) == []
