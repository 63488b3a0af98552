"""Rego in the words that the embedded engine takes: the same rules, written so that it reads them as OPA does.

Every change keeps each line where it is. What cannot be said in other words is refused by `guard`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gatekeeper.engines.rego.regorus_guard import blank_literals

# `x = set[x]` on a line of its own: the engine will not unify a variable with its own lookup.
SELF_LOOKUP = re.compile(r"^([ \t]*)([A-Za-z_]\w*) = ([A-Za-z_][\w.]*)\[\2\][ \t]*$", re.MULTILINE)
# `} {`: one more body of the same rule, as v0 has it; the engine takes it for an `else`.
ADDITIONAL_BODY = re.compile(r"\}\s*\{")
TERM_END = re.compile(r"[\w\])}\"]\s*\n\s*$")
IMPORT_LINE = re.compile(r"^\s*import\s+\S*?(\w+)(?:\s+as\s+(\w+))?\s*$", re.MULTILINE)
FUNCTION_CALL = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\(")
FIELD_ACCESS = re.compile(r"([A-Za-z_]\w*)((?:\.\w+)+)")

# What the embedded engine says where `some ... in` meets a text, a number or null; OPA takes the rule as undefined.
NOT_A_COLLECTION_ERROR = "`some .. in collection` expects"
SOME_IN = re.compile(r"\bsome\s+[^\n;{}]*?\s+in\b")
ITEMS_FUNCTION = "data.gatekeeper_each.items"
ITEMS_MODULE_NAME = "gatekeeper_each.rego"
ITEMS_MODULE = """package gatekeeper_each

import rego.v1

items(x) := x if is_array(x)

items(x) := x if is_object(x)

items(x) := x if is_set(x)
"""
TextEdit = tuple[int, int, str]


def rewrite(text: str) -> str:
    """The same rules in the words that the embedded engine takes."""
    text = SELF_LOOKUP.sub(r"\1\3[\2] == \2", text)
    code = blank_literals(text)
    return _apply_edits(
        text, [*_repeat_rule_heads(text, code), *_separate_expressions(code), *_guard_ignored_arguments(code)]
    )


def rewrite_leniently(text: str) -> str:
    """As `taken`, and each `some ... in collection` takes nothing from what is no collection, where OPA says so too."""
    text = rewrite(text)
    code = blank_literals(text)
    cuts: list[TextEdit] = []
    for found in SOME_IN.finditer(code):
        end = _find_term_end(code, found.end())
        if code[found.end() : end].strip():
            cuts += [(found.end(), found.end(), f" {ITEMS_FUNCTION}("), (end, end, ")")]
    return _apply_edits(text, cuts)


def _apply_edits(text: str, edits: Sequence[TextEdit]) -> str:
    for start, end, more in sorted(edits, reverse=True):
        text = text[:start] + more + text[end:]
    return text


def _repeat_rule_heads(text: str, code: str) -> Iterator[TextEdit]:
    """Each further body of a rule gets the rule's head."""
    depth, head, start, is_body = 0, "", 0, False
    for at, letter in enumerate(code):
        if letter in "([{":
            if letter == "{" and not depth:
                before = code[start:at].strip()
                # What an `=` stands before is the rule's value.
                is_body = not before.endswith("=")
                if is_body and before:
                    head = text[at - len(code[start:at].lstrip()) : at].strip()
                elif is_body and head and ADDITIONAL_BODY.match(code, start - 1):
                    yield at, at, f"{head} "
            depth += 1
        elif letter in ")]}":
            depth = max(0, depth - 1)
            start = at + 1 if letter == "}" and not depth and is_body else start
        elif letter == "\n" and not depth and code[start:at].strip():
            start = at + 1


def _separate_expressions(code: str) -> Iterator[TextEdit]:
    """A line in a body that begins with a bracket is an expression of its own, no call of what stands before it."""
    open_brackets: list[str] = []
    for at, letter in enumerate(code):
        if letter == "(" and open_brackets[-1:] == ["{"]:
            before = TERM_END.search(code, max(0, at - 200), at)
            if before:
                yield before.start() + 1, before.start() + 1, ";"
        if letter in "([{":
            open_brackets.append(letter)
        elif letter in ")]}" and open_brackets:
            open_brackets.pop()


def _guard_ignored_arguments(code: str) -> Iterator[TextEdit]:
    """OPA does not look at an argument that a function ignores (`_`): there a missing field does not stop the call.

    So a field given as an argument that some definition ignores is given as null where it is missing.
    """
    ignored: dict[str, set[int]] = {}
    calls = [(found, _find_arguments(code, found.end())) for found in FUNCTION_CALL.finditer(code)]
    for found, arguments in calls:
        if found.start() == 0 or code[found.start() - 1] == "\n":
            places = {number for number, (start, end) in enumerate(arguments) if code[start:end].strip() == "_"}
            ignored.setdefault(found.group(1), set()).update(places)
    outside = {"input", "data", *(alias or name for name, alias in IMPORT_LINE.findall(code))}
    for found, arguments in calls:
        for number, (start, end) in enumerate(arguments):
            field = FIELD_ACCESS.fullmatch(code[start:end].strip())
            if number in ignored.get(found.group(1), ()) and field and field.group(1) not in outside:
                path = ", ".join(f'"{step}"' for step in field.group(2)[1:].split("."))
                yield start, end, f" object.get({field.group(1)}, [{path}], null)"


def _find_arguments(code: str, start: int) -> list[tuple[int, int]]:
    """Where each argument of a call begins and ends; the call's bracket opens before `start`."""
    depth, begin, found = 0, start, list[tuple[int, int]]()
    for at in range(start, len(code)):
        letter = code[at]
        if letter in "([{":
            depth += 1
        elif letter in ")]}" and depth:
            depth -= 1
        elif letter in ")," and not depth:
            found.append((begin, at))
            begin = at + 1
            if letter == ")":
                break
    return found


def _find_term_end(code: str, start: int) -> int:
    """Where the expression that starts there ends: at its line, its bracket, a `;` or a `with`."""
    depth = 0
    for at in range(start, len(code)):
        letter = code[at]
        if letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
            if depth < 0:
                return at
        elif not depth and (letter in ";\n" or code.startswith(" with ", at)):
            return at
    return len(code)
