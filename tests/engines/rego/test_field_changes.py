"""Changes of a resource for the field tracer: the original stays, and identities are kept."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.engines.rego import field_changes
from gatekeeper.model import FieldPath, get_field

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "namespace": "b", "labels": {"x": "y"}},
    "spec": {"containers": [{"image": "i:1", "ready": True, "port": 80, "none": None}]},
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(VALUES)
def test_a_change_never_changes_the_original(value: Any) -> None:
    resource = {"spec": value}
    before = copy.deepcopy(resource)
    field_changes.remove_path(resource, ("spec",))
    for replace in field_changes.LEAF_REPLACEMENTS:
        field_changes.build_leaf_change(replace)(resource, ("spec",))
    for probe in field_changes.PROBE_VALUES:
        field_changes.build_addition(probe)(resource, ("spec", "a", "b"))
    assert resource == before


@settings(deadline=None)
@given(st.text(), st.text())
def test_different_texts_stay_different(left: str, right: str) -> None:
    for replace in field_changes.LEAF_REPLACEMENTS:
        assert (replace(left) == replace(right)) == (left == right)


def test_parts_are_listed_without_those_that_identify_the_resource() -> None:
    assert field_changes.list_parts(POD, ()) == [("metadata",), ("spec",)]
    assert field_changes.list_parts(POD, ("metadata",)) == [("metadata", "labels")]
    assert field_changes.list_parts(POD, ("spec", "containers")) == [("spec", "containers", 0)]
    assert field_changes.list_parts(POD, ("kind",)) == []


def test_removed_metadata_keeps_name_and_namespace() -> None:
    assert field_changes.remove_path(POD, ("metadata",))["metadata"] == {"name": "a", "namespace": "b"}
    assert field_changes.remove_path(POD, ("spec", "containers", 0))["spec"] == {"containers": []}


def test_a_leaf_change_keeps_the_identity_and_changes_each_leaf() -> None:
    changed = field_changes.build_leaf_change(field_changes.LEAF_REPLACEMENTS[0])(POD, ("metadata",))
    assert changed["metadata"] == {"name": "a", "namespace": "b", "labels": {"x": "gkygk"}}
    container = field_changes.build_leaf_change(field_changes.LEAF_REPLACEMENTS[1])(POD, ("spec",))["spec"][
        "containers"
    ][0]
    assert container == {"image": "gk-i:1:1.0", "ready": True, "port": 1_000_080, "none": None}


def test_a_field_is_added_with_the_mappings_around_it_but_not_in_a_list() -> None:
    add = field_changes.build_addition("x")
    assert get_field(add(POD, ("metadata", "annotations", "owner")), ("metadata", "annotations", "owner")) == "x"
    assert add(POD, ("spec", "containers", 0, "new")) == POD


def test_a_null_is_something_at_a_path() -> None:
    assert field_changes.has_path(POD, ("spec", "containers", 0, "none"))
    assert not field_changes.has_path(POD, ("spec", "containers", 1))
    assert not field_changes.has_path(POD, ("kind", "x"))


@pytest.mark.parametrize(
    ("rego", "paths"),
    [
        ("input.spec.containers[_].image", [("spec", "containers", 0, "image")]),
        ('input.metadata.labels["a/b"]', [("metadata", "labels", "a/b")]),
        ("input.items[2].x; input.items[i]; input.items[2].x", [("items", 2, "x"), ("items", 0)]),
        ("input; myinput.x; data.input", []),
    ],
)
def test_the_paths_that_a_rule_reads_are_listed_once(rego: str, paths: list[FieldPath]) -> None:
    assert field_changes.list_read_paths(rego) == paths
