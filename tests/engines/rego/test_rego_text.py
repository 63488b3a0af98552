"""Rego text without a parser: literals are blanked, and brackets are balanced."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.engines.rego import rego_text


@settings(deadline=None)
@given(st.text('ab"`#\\\n {}', max_size=30))
def test_blanking_keeps_every_line_and_position(text: str) -> None:
    code = rego_text.blank_literals(text)
    assert len(code) == len(text)
    assert [place for place, letter in enumerate(code) if letter == "\n"] == [
        place for place, letter in enumerate(text) if letter == "\n"
    ]
    assert all(after in (before, " ") for before, after in zip(text, code, strict=True))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('x := "a\\"b" + 1', "x :=        + 1"),
        ("y # note\nz", "y       \nz"),
        ("`a\nb` c", "  \n   c"),
        ('"# no comment" d', "               d"),
    ],
)
def test_texts_and_comments_become_blanks(text: str, code: str) -> None:
    assert rego_text.blank_literals(text) == code


@pytest.mark.parametrize(
    ("code", "start", "step", "level"),
    [
        ("a(b,c)d)e", 0, 1, "ad)"),
        ("x(a[b]c", 6, -1, "ca("),
        ("{a(b)", 1, 1, "a"),
        ("abc", 2, -1, "cba"),
    ],
)
def test_the_level_of_a_position_leaves_out_nested_brackets(code: str, start: int, step: int, level: str) -> None:
    scanned = list(rego_text.scan_level(code, start, step))
    assert "".join(letter for _, letter in scanned) == level
    assert all(code[position] == letter for position, letter in scanned)
