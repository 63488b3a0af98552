"""Distinguishes a template, which another program renders before Kubernetes reads it, from a malformed manifest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from gatekeeper.host.lazy_pattern import compile_lazily

ACTION = compile_lazily(rb"\{\{(?:(?!\{\{)[^\n])*?\}\}|\{%[^\n]*?%\}")
# An action over several lines, only where it starts a line or a value, and within one document: between braces in two
# quoted texts there may be anything.
LONG_ACTION = compile_lazily(
    rb"^([ \t]*(?:- +)*(?:[\w./-]+: +)?)"
    rb"(\{\{(?:(?!\{\{|^---|\}\}).)*\n(?:(?!\{\{|^---).)*?\}\}|\{%(?:(?!\{%|^---).)*?%\})",
    re.DOTALL | re.MULTILINE,
)
# An action that YAML reads as the start of a value or of a line, and so not as a text.
LEADING_ACTION = compile_lazily(rb"^\s*(?:- +)*(?:[\w./-]+: +)?(?:- +)*[\[{]?\s*(?:\{\{|\{%)")
BLOCK_WORDS = compile_lazily(
    rb"\{[{%][-~+ ]*(?:/\*|#|!|(?:if|else|elif|elsif|end\w*|range|with|define|block|for|set|raw|macro|import|unless"
    rb"|case|when|template|include)\b)"
)
BLOCK_HEADER = compile_lazily(rb"(?:^|[:\-\s])[|>][-+0-9]*\s*(?:#.*)?$")
PLACEHOLDER = b"x"


def is_template(content: bytes, error_line: int, find_error_line: Callable[[bytes], int | None]) -> bool:
    """Whether a text that is not YAML is a template: its actions (`{{ … }}`, `{% … %}`) are the reason.

    They are if the text is YAML without them, or if reading gets further without an action that starts a line or a
    value. An action within a text is nothing special: alert rules, dashboards and workflows are full of them.

    Args:
        error_line: the line where reading stopped, from 1.
        find_error_line: returns the line where reading a text stops; None if it is YAML.
    """
    if not ACTION.search(content) and not LONG_ACTION.search(content):
        return False
    if any(find_error_line(text) is None for text in _blank_actions(content)):
        return True
    lines = content.split(b"\n")
    # YAML notices some actions only when the next line starts.
    for number in range(max(0, error_line - 2), min(error_line, len(lines))):
        if LEADING_ACTION.match(lines[number]) and not _is_in_block_text(lines, number):
            blank = b"" if _is_only_actions(lines[number]) else ACTION.sub(PLACEHOLDER, lines[number])
            stop = find_error_line(b"\n".join([*lines[:number], blank, *lines[number + 1 :]]))
            if stop is None or stop > error_line:
                return True
    return False


def _blank_actions(content: bytes) -> Iterator[bytes]:
    """The text without its actions: with a word for each value and nothing for blocks, with words, and with nothing."""
    lines = LONG_ACTION.sub(lambda found: found[1] + _choose_word(found[2]), content).split(b"\n")
    is_text = [bool(ACTION.search(line)) and _is_in_block_text(lines, number) for number, line in enumerate(lines)]
    kept = [(line, same) for line, same in zip(lines, is_text, strict=True) if same or not _is_only_actions(line)]
    for replace in (lambda found: _choose_word(found[0]), lambda _: PLACEHOLDER, lambda _: b""):
        yield b"\n".join(line if same else ACTION.sub(replace, line) for line, same in kept)


def _is_in_block_text(lines: Sequence[bytes], number: int) -> bool:
    """Whether a line is in a block text (`|`, `>`), whose indentation it may decide: an action there is text."""
    indent = _get_indent(lines[number])
    for line in reversed(lines[:number]):
        if line.strip() and _get_indent(line) < indent:
            if BLOCK_HEADER.search(line):
                return True
            indent = _get_indent(line)
        if indent == 0:
            break
    return False


def _get_indent(line: bytes) -> int:
    return len(line) - len(line.lstrip(b" "))


def _choose_word(action: bytes) -> bytes:
    return b"" if BLOCK_WORDS.match(action) else PLACEHOLDER


def _is_only_actions(line: bytes) -> bool:
    return bool(ACTION.search(line)) and not ACTION.sub(b"", line).strip()
