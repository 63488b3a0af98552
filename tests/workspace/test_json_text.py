"""JSON is rewritten so that YAML readers take it for the same value."""

from __future__ import annotations

import json
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.workspace import documents, json_text

VALUES = st.dictionaries(
    st.text(min_size=1, max_size=4),
    st.text() | st.lists(st.text('\\/"\x7f\x85\u2028\ufeff\U0001f600a', max_size=5)),
    min_size=1,
)


@given(VALUES, st.booleans())
@settings(deadline=None)
def test_json_has_the_value_that_json_readers_give_it(value: dict[str, Any], is_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii, indent="\t").replace("/", "\\/").encode()
    found, failure = documents.parse(text)
    assert failure is None
    assert documents.to_value(found[0]) == orjson.loads(text) == value


def test_what_is_not_json_is_left_to_yaml() -> None:
    assert json_text.rewrite_for_yaml(b"a: 1\n") is None
    assert json_text.rewrite_for_yaml(b'{"a": 1,}') is None
