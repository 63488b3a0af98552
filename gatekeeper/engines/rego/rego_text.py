"""Scanning of Rego source text without a parser: literals, and the brackets around a position."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gatekeeper.host.lazy_pattern import compile_lazily

STRINGS_AND_COMMENTS = compile_lazily(r'"(?:\\.|[^"\\\n])*"|`[^`]*`|#[^\n]*')
OPENING_BRACKETS, CLOSING_BRACKETS = "([{", ")]}"


def blank_literals(text: str) -> str:
    """Replaces all strings and comments by blanks, so that every other character keeps its position."""
    return STRINGS_AND_COMMENTS.sub(lambda literal: re.sub(r"[^\n]", " ", literal.group()), text)


def scan_level(code: str, start: int, step: int = 1) -> Iterator[tuple[int, str]]:
    """Yields position and character of everything on the bracket level of a position; nested brackets are left out.

    The bracket that encloses the position is the last one that is yielded.

    Args:
        code: Rego without literals, as `blank_literals` returns it.
        start: the position of the first character.
        step: 1 to scan forwards, -1 to scan backwards.
    """
    entering, leaving = (OPENING_BRACKETS, CLOSING_BRACKETS) if step > 0 else (CLOSING_BRACKETS, OPENING_BRACKETS)
    depth, position = 0, start
    while 0 <= position < len(code):
        letter = code[position]
        if letter in entering:
            depth += 1
        elif letter in leaving:
            depth -= 1
            if depth < 0:
                yield position, letter
                return
        elif depth == 0:
            yield position, letter
        position += step
