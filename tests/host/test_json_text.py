"""JSON of any text: nothing is lost in the cache, and a report is always valid."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.host import json_text

NAMES = st.binary(max_size=8).map(lambda name: name.decode("utf-8", "surrogateescape"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_any_value_is_decoded_as_it_was_encoded(value: object) -> None:
    assert json_text.decode(json_text.encode(value)) == value


@given(VALUES)
def test_a_report_of_any_value_is_valid_json(value: object) -> None:
    report = json_text.format_report(value)
    assert orjson.dumps(orjson.loads(report), option=orjson.OPT_INDENT_2).decode() + "\n" == report


def test_a_name_that_is_not_utf8_is_readable_in_a_report() -> None:
    assert orjson.loads(json_text.format_report({"caf\udce9": ("a\udce9", 1)})) == {"caf\\xe9": ["a\\xe9", 1]}


def test_other_content_is_refused() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        json_text.decode(b"{")


@given(VALUES)
def test_small_content_is_decoded_like_large_content(value: object) -> None:
    content = json_text.encode(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_text, "MAX_SMALL_BYTES", 0)
        assert json_text.decode(content) == value


def test_deep_nesting_is_decoded() -> None:
    value, depth = json_text.decode(b"[" * 1000 + b"]" * 1000), 1
    while value:
        [value], depth = value, depth + 1
    assert depth == 1000
