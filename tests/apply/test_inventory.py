"""Inventories have the format of Flux."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.apply import inventory
from gatekeeper.apply.inventory import InventoryEntry
from tests.apply.test_order import one


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
def test_id_has_the_format_of_flux(entry: InventoryEntry, text: str) -> None:
    assert entry.id == text and inventory.parse_entry({"id": text, "v": "v1"}) == entry


NAMES = st.from_regex(r"[a-z]([a-z0-9.-]*[a-z0-9])?", fullmatch=True)


@settings(deadline=None)
@given(st.one_of(st.just(""), NAMES), NAMES, st.one_of(st.just(""), NAMES), st.sampled_from(["Job", "ConfigMap"]))
def test_entry_survives_a_round_trip(namespace: str, name: str, group: str, kind: str) -> None:
    entry = InventoryEntry(namespace, name, group, kind, "v1")
    assert inventory.parse_entry({"id": entry.id, "v": "v1"}) == entry


@pytest.mark.parametrize("record", [None, {}, {"id": "a"}, {"id": "a_b", "v": "v1"}, {"id": 7, "v": "v1"}, "text"])
def test_malformed_entry_is_none(record: Any) -> None:
    assert inventory.parse_entry(record) is None


def test_new_version_of_a_kind_is_not_a_removal() -> None:
    before = [
        InventoryEntry("a", "x", "apps", "Deployment", "v1beta1"),
        InventoryEntry("a", "y", "", "ConfigMap", "v1"),
    ]
    assert inventory.list_removed(before, [one("Deployment", "x", "a", "apps/v1")]) == before[1:]


def test_entries_are_pruned_in_reverse_order_of_applying() -> None:
    entries = [inventory.entry_of(one(kind)) for kind in ("Namespace", "Deployment", "ConfigMap", "ConfigMap")]
    assert [entry.kind for entry in inventory.sort_for_prune(entries)] == ["Deployment", "ConfigMap", "Namespace"]


def test_malformed_entries_of_a_status_are_left_out() -> None:
    records = [{"id": "a_x__ConfigMap", "v": "v1"}, {"id": "broken"}, None]
    status = {"status": {"inventory": {"entries": records}}}
    assert inventory.read_inventory(status) == [InventoryEntry("a", "x", "", "ConfigMap", "v1")]
    assert inventory.read_inventory(None) == [] and inventory.read_inventory({"status": {"inventory": {}}}) == []


def test_stub_has_the_identity_of_its_entry() -> None:
    entry = InventoryEntry("a", "x", "apps", "Deployment", "v1")
    assert inventory.entry_of(inventory.build_stub(entry)) == entry and str(entry) == "Deployment a/x"
