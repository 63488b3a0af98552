"""Patterns that are compiled at their first use."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gatekeeper.host.lazy_pattern import METHODS, compile_lazily


@pytest.mark.parametrize("method", [name for name in METHODS if name != "sub"])
def test_each_method_gives_what_a_compiled_pattern_gives(method: str) -> None:
    lazy, compiled = compile_lazily("B+", re.IGNORECASE), re.compile("B+", re.IGNORECASE)
    for text in ("bbb", "abb", "abba b", ""):
        assert repr(_list_texts(getattr(lazy, method)(text))) == repr(_list_texts(getattr(compiled, method)(text)))
    assert lazy.sub("x", "abba") == compiled.sub("x", "abba")


def _list_texts(result: Any) -> object:
    return [str(each) for each in result] if hasattr(result, "__next__") else str(result)


def test_pattern_is_compiled_at_the_first_use_only(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    compile_pattern = re.compile

    def compile_and_record(text: str, flags: int) -> re.Pattern[str]:
        texts.append(text)
        return compile_pattern(text, flags)

    monkeypatch.setattr(re, "compile", compile_and_record)
    lazy = compile_lazily("[a-z]")
    assert texts == []
    assert lazy.match("a") and lazy.search("1b") and lazy.fullmatch("c")
    assert texts == ["[a-z]"]


def test_other_attributes_are_missing_and_an_invalid_text_is_refused_at_its_use() -> None:
    assert not hasattr(compile_lazily("a"), "pattern")
    with pytest.raises(re.error):
        compile_lazily("(").search("a")
