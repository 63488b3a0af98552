"""YAML output is read back as the same value, with every character."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.terminal.yaml_output import dump_yaml
from gatekeeper.workspace import documents

# Characters that YAML treats in a special way are as likely as all others together.
TEXT = st.text(
    st.sampled_from("\x85\u2028\u2029\ufeff\x7f\xa0 \n\t:#-'\"é") | st.characters(exclude_categories=("Cs", "Cc")),
    max_size=12,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, st.sampled_from([20, 120, 1_000_000]))
def test_a_value_is_read_back_unchanged(value: Any, width: int) -> None:
    assert yaml.safe_load(dump_yaml(value, width)) == value


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029"])
def test_the_reader_of_the_gate_agrees_on_unicode_line_breaks(character: str) -> None:
    value = {"data": {"key": f"a{character}b", f"k{character}": f"{character}"}}
    parsed, failure = documents.parse(dump_yaml(value).encode())
    assert failure is None and documents.to_value(parsed[0]) == value


def test_keys_keep_their_order_and_text_is_readable() -> None:
    assert (
        dump_yaml({"kind": "Secret", "apiVersion": "v1", "note": "grün"})
        == "kind: Secret\napiVersion: v1\nnote: grün\n"
    )
