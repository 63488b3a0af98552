"""Rewrites Rego for the embedded engine, so that it evaluates the rules as OPA does.

Every rewrite keeps each line where it is. What no rewrite can express is refused by `regorus_guard`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gatekeeper.engines.rego.rego_text import CLOSING_BRACKETS, OPENING_BRACKETS, blank_literals, scan_level
from gatekeeper.host.lazy_pattern import compile_lazily

# `x = set[x]` on a separate line: the engine does not unify a variable with its own lookup.
SELF_LOOKUP = compile_lazily(r"^([ \t]*)([A-Za-z_]\w*) = ([A-Za-z_][\w.]*)\[\2\][ \t]*$", re.MULTILINE)
# `} {`: another body of the same rule in Rego v0; the engine takes it for an `else`.
ADDITIONAL_BODY = compile_lazily(r"\}\s*\{")
TERM_END = compile_lazily(r"[\w\])}\"]\s*\n\s*$")
IMPORT_LINE = compile_lazily(r"^\s*import\s+\S*?(\w+)(?:\s+as\s+(\w+))?\s*$", re.MULTILINE)
FUNCTION_CALL = compile_lazily(r"(?<![\w.])([A-Za-z_]\w*)\(")
FIELD_ACCESS = compile_lazily(r"([A-Za-z_]\w*)((?:\.\w+)+)")

# The engine's error for `some ... in` on a string, a number or null, where OPA takes the rule as undefined. The engine
# has no error codes: only this text of the pinned regorus version identifies the case; a test fails if it changes.
NOT_A_COLLECTION_ERROR = "`some .. in collection` expects"
SOME_IN = compile_lazily(r"\bsome\s+[^\n;{}]*?\s+in\b")
ITEMS_FUNCTION = "data.gatekeeper_each.items"
ITEMS_MODULE_NAME = "gatekeeper_each.rego"
ITEMS_MODULE = """package gatekeeper_each

import rego.v1

items(x) := x if is_array(x)

items(x) := x if is_object(x)

items(x) := x if is_set(x)
"""
# Start, end and replacement.
TextEdit = tuple[int, int, str]
MAX_LINE_GAP = 200


def rewrite(text: str) -> str:
    """Rewrites a module for the embedded engine."""
    text = SELF_LOOKUP.sub(r"\1\3[\2] == \2", text)
    code = blank_literals(text)
    return _apply_edits(
        text, [*_repeat_rule_heads(text, code), *_separate_expressions(code), *_guard_ignored_arguments(code)]
    )


def rewrite_leniently(text: str) -> str:
    """Rewrites a module so that `some x in y` yields nothing if `y` is not a collection, as in OPA."""
    code = blank_literals(text)
    edits: list[TextEdit] = []
    for some_in in SOME_IN.finditer(code):
        end = _find_term_end(code, some_in.end())
        if code[some_in.end() : end].strip():
            edits += [(some_in.end(), some_in.end(), f" {ITEMS_FUNCTION}("), (end, end, ")")]
    return _apply_edits(text, edits)


def _apply_edits(text: str, edits: Sequence[TextEdit]) -> str:
    for start, end, replacement in sorted(edits, reverse=True):
        text = text[:start] + replacement + text[end:]
    return text


def _repeat_rule_heads(text: str, code: str) -> Iterator[TextEdit]:
    """Gives each additional body of a rule the head of the rule."""
    depth, head, start, is_body = 0, "", 0, False
    for position, letter in enumerate(code):
        if letter in OPENING_BRACKETS:
            if letter == "{" and not depth:
                before = code[start:position].strip()
                # After `=` the braces are the value of the rule.
                is_body = not before.endswith("=")
                if is_body and before:
                    head = text[position - len(code[start:position].lstrip()) : position].strip()
                elif is_body and head and ADDITIONAL_BODY.match(code, start - 1):
                    yield position, position, f"{head} "
            depth += 1
        elif letter in CLOSING_BRACKETS:
            depth = max(0, depth - 1)
            start = position + 1 if letter == "}" and not depth and is_body else start
        elif letter == "\n" and not depth and code[start:position].strip():
            start = position + 1


def _separate_expressions(code: str) -> Iterator[TextEdit]:
    """Ends the expression before a line that begins with `(`: the line is not the arguments of a call."""
    open_brackets: list[str] = []
    for position, letter in enumerate(code):
        if letter == "(" and open_brackets[-1:] == ["{"]:
            term = TERM_END.search(code, max(0, position - MAX_LINE_GAP), position)
            if term:
                yield term.start() + 1, term.start() + 1, ";"
        if letter in OPENING_BRACKETS:
            open_brackets.append(letter)
        elif letter in CLOSING_BRACKETS and open_brackets:
            open_brackets.pop()


def _guard_ignored_arguments(code: str) -> Iterator[TextEdit]:
    """Gives null for a missing field in an argument that some definition of the function ignores (`_`).

    OPA does not evaluate an ignored argument, so there a missing field does not make the call undefined.
    """
    ignored: dict[str, set[int]] = {}
    calls = [(call, _find_arguments(code, call.end())) for call in FUNCTION_CALL.finditer(code)]
    for call, arguments in calls:
        is_definition = call.start() == 0 or code[call.start() - 1] == "\n"
        if is_definition:
            numbers = {number for number, (start, end) in enumerate(arguments) if code[start:end].strip() == "_"}
            ignored.setdefault(call.group(1), set()).update(numbers)
    documents = {"input", "data", *(alias or name for name, alias in IMPORT_LINE.findall(code))}
    for call, arguments in calls:
        for number, (start, end) in enumerate(arguments):
            field = FIELD_ACCESS.fullmatch(code[start:end].strip())
            if number in ignored.get(call.group(1), ()) and field and field.group(1) not in documents:
                path = ", ".join(f'"{step}"' for step in field.group(2)[1:].split("."))
                yield start, end, f" object.get({field.group(1)}, [{path}], null)"


def _find_arguments(code: str, start: int) -> list[tuple[int, int]]:
    """Finds start and end of each argument of a call; `start` is the position after the call's bracket."""
    arguments = []
    for position, letter in scan_level(code, start):
        if letter in "),":
            arguments.append((start, position))
            start = position + 1
    return arguments


def _find_term_end(code: str, start: int) -> int:
    """Finds the end of the expression that starts there: the end of its line or bracket, a `;` or a `with`."""
    for position, letter in scan_level(code, start):
        if letter in ";\n" or letter in CLOSING_BRACKETS or code.startswith(" with ", position):
            return position
    return len(code)
