"""What the stages of rendering hand on: paths inside of the repository, and places in files."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.render import model
from gatekeeper.render.model import AppliedFolder, FileOrigin
from gatekeeper.workspace import documents
from tests.engines.resources import build_resource

SEGMENTS = st.lists(st.sampled_from(["a", "b", ".", "..", ""]), max_size=6).map("/".join)


@settings(deadline=None)
@given(SEGMENTS, SEGMENTS)
def test_a_joined_path_is_normal_and_keeps_what_leads_out_in_front(folder: str, relative: str) -> None:
    joined = model.join_path(folder.strip("/"), relative.strip("/"))
    parts = joined.split("/") if joined else []
    outside = [part for part in parts if part == ".."]
    assert parts[: len(outside)] == outside
    assert "." not in parts and "" not in parts
    assert model.join_path("", joined) == joined


@pytest.mark.parametrize(
    ("folder", "relative", "joined"),
    [
        ("a/b", "../c", "a/c"),
        ("", "../c", "../c"),
        ("a", "../../../c", "../../c"),
        ("a", "./b//c/", "a/b/c"),
        ("", "", ""),
    ],
)
def test_a_path_is_joined_from_the_root_of_the_repository(folder: str, relative: str, joined: str) -> None:
    assert model.join_path(folder, relative) == joined


def test_a_place_inside_of_a_list_counts_from_its_item() -> None:
    [document], _ = documents.parse(b"items:\n- {a: 1}\n- a: 2\n")
    location = FileOrigin("a.yaml", document, ("items", 1)).find_location(("a",))
    assert location == ("a.yaml", 3, 6)
    assert FileOrigin("a.yaml", document, ("items", 1)).find_location(("a",), key=True) == ("a.yaml", 3, 3)


@pytest.mark.parametrize(
    ("fields", "components"),
    [(b"", []), (b"{}", []), (b'{"components": "a"}', []), (b'{"components": ["a", 7, "b"]}', ["a", "b"])],
)
def test_components_that_a_controller_adds_are_texts(fields: bytes, components: list[str]) -> None:
    applier = build_resource({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}})
    assert AppliedFolder("apps", fields, None, applier, ("spec",)).components == components
