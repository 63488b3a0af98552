"""Patterns of projects and of lists of files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.argocd.glob import matches


@pytest.mark.parametrize(
    ("pattern", "text", "separator", "fits"),
    [
        ("*", "a/b", "", True),
        ("*", "a/b", "/", False),
        ("**", "a/b", "/", True),
        ("a/*", "a/b", "/", True),
        ("a/*", "a/b/c", "/", False),
        ("?", "a", "", True),
        ("?", "/", "/", False),
        ("[a-c]x", "bx", "", True),
        ("[!a-c]x", "bx", "", False),
        ("{a,b*}.yaml", "bcd.yaml", "", True),
        ("{a,b}.yaml", "c.yaml", "", False),
        ("a.b", "axb", "", False),
        ("\\*", "*", "", True),
        ("{a", "a", "", False),
        ("[", "[", "", False),
        ("", "", "", True),
    ],
)
def test_patterns_match_as_in_argo_cd(pattern: str, text: str, separator: str, fits: bool) -> None:
    assert matches(pattern, text, separator) is fits


@given(st.text(), st.text(max_size=50))
def test_any_text_is_a_pattern_or_matches_nothing(pattern: str, text: str) -> None:
    assert matches(pattern, text) in (True, False)


def test_pathological_pattern_is_fast() -> None:
    """By backtracking this would take longer than anybody waits."""
    assert not matches("*a" * 40, "a" * 20_000 + "b")
