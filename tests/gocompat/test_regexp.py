"""Go's regular expressions."""

from __future__ import annotations

import time

import pytest

from gatekeeper.gocompat.regexp import compile_pattern


@pytest.mark.parametrize("pattern", ["(?<=a)b", r"(a)\1", "(", "a{2000}"])
def test_text_that_go_rejects_is_none(pattern: str) -> None:
    assert compile_pattern(pattern) is None


def test_a_pattern_is_found_anywhere_in_linear_time() -> None:
    pattern = compile_pattern("(a+)+$")
    assert pattern is not None and pattern.search("xaab") is None and pattern.search("baa")
    began = time.monotonic()
    assert pattern.search("a" * 50_000 + "b") is None
    assert time.monotonic() - began < 10
