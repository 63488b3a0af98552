"""Objects as YAML text: parsed again to the same value, with the quotes that kustomize writes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.render.yaml_text import write_object
from gatekeeper.workspace import documents

TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufeff"), max_size=8
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-99, 99)
    | TEXT
    | st.sampled_from(["no", "1e3", "~", "<<", "a: b", "- a", "#", " x "]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.dictionaries(TEXT, VALUES, max_size=3))
def test_a_written_object_is_parsed_to_the_same_value(value: dict[str, Any]) -> None:
    parsed, failure = documents.parse(write_object(value).encode())
    assert failure is None
    assert documents.to_value(parsed[0]) == value


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("web", "web"),
        ("true", '"true"'),
        ("12", '"12"'),
        ("2026-01-01", '"2026-01-01"'),
        ("1:30", '"1:30"'),
        ("<<", '"<<"'),
        ("", '""'),
        ("${image}", "${image}"),
        ("a\nb\n", "|\n  a\n  b"),
    ],
)
def test_only_a_text_that_would_be_something_else_is_quoted(text: str, written: str) -> None:
    assert write_object({"a": text}) == f"a: {written}\n"


def test_an_empty_collection_is_written_in_the_line_and_a_null_as_null() -> None:
    assert write_object({"a": {}, "b": [], "c": None, "d": [1.5, True]}) == "a: {}\nb: []\nc: null\nd:\n- 1.5\n- true\n"
