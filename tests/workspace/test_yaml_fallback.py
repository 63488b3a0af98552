"""The YAML parser on PyYAML's events; tests/workspace/test_yaml_agreement.py compares it with the compiled one."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.workspace import yaml_fallback

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text("abc: #\n", max_size=6)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1), inner, max_size=3)
)


def parse(text: str) -> tuple[list[Any], tuple[str, int, int] | None]:
    [(documents, failure)] = yaml_fallback.parse_yaml([text.encode()], 1)
    return [orjson.loads(document.json) for document in documents], failure


@given(VALUES)
def test_json_is_parsed_as_json(value: Any) -> None:
    assert parse(orjson.dumps(value).decode()) == ([value], None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("0x1f", 31),
        ("0b101", 5),
        ("017", 15),
        ("1_000", 1000),
        ("1e3", 1000),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("1.2.3", "1.2.3"),
        ("2027-01-31", "2027-01-31"),
        ("!!binary aGk=", "hi"),
        ("{<<: {a: 1, b: 2}, a: 3}", {"a": 3, "b": 2}),
        ("[&x {a: 1}, *x]", [{"a": 1}, {"a": 1}]),
    ],
)
def test_values_have_the_types_of_kubernetes(text: str, value: object) -> None:
    assert parse(text) == ([value], None)


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("a: [1", "did not find expected", (2, 1)),
        ("a: .inf", "has no form in JSON", (1, 4)),
        ("[a]: b", "a key must be a text", (1, 1)),
        ("a: *x", "names an anchor that contains it, or that does not exist", (1, 4)),
        ("<<: 1", "a merge key (<<) needs a mapping", (1, 1)),
        ("[" * 300 + "]" * 300, "nested more than 200 levels deep", (1, 202)),
    ],
)
def test_parse_error_has_a_message_and_a_location(text: str, message: str, place: tuple[int, int]) -> None:
    _, failure = parse(text)
    assert failure is not None and message in failure[0] and failure[1:] == place


def test_aliases_that_expand_without_end_are_rejected() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))]
    _, failure = parse("\n".join(lines))
    assert failure is not None and "aliases expand to more than" in failure[0]


def test_aliases_that_repeat_a_long_text_are_rejected_as_by_the_compiled_reader() -> None:
    text = f"a: &a {'x' * 100_000}\nl: [{', '.join(['*a'] * 4000)}]\n".encode()
    [(documents, failure)] = yaml_fallback.parse_yaml([text], 1)
    assert not documents and failure is not None
    assert failure[0] == f"aliases expand to more than {len(text) * 8 + 4 * 2**20} bytes"
    native = pytest.importorskip("gatekeeper._native")
    assert native.parse_yaml([text], 1)[0][1] == failure


def test_the_documents_of_a_file_share_one_bound() -> None:
    one = f"a: &a {'x' * 100_000}\nl: [{', '.join(['*a'] * 40)}]\n"
    assert len(parse(one)[0]) == 1
    documents, failure = parse("---\n".join([one] * 20))
    assert 1 < len(documents) < 20 and failure is not None and "bytes" in failure[0]


def test_places_and_duplicates_are_kept() -> None:
    [([document], _)] = yaml_fallback.parse_yaml([b"a:\n- b: 1\n  c: 2\nd: 1\nd: 2\n"], 1)
    assert document.locate(("a", 0, "c")) == (3, 3, 6)
    assert document.locate(("a", 0, "c"), key=True) == (3, 3, 3)
    assert document.locate(("a", 7)) == (1, 1, 1)
    assert document.duplicates == [("d", 5, 1, 4)]
