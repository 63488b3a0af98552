"""`${VAR}` and what bash does with it, as Flux's `postBuild` has it.

Source: fluxcd/pkg `envsubst` (parse/parse.go, funcs.go). A variable that nothing sets, and what cannot be read, stays
as it stands: where Flux would write nothing, or give up, nobody here guesses. Tests run Flux's own cases.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from gatekeeper.gocompat import regexp

NAME = re.compile(r"\w+")
# What is done with a value, the longer signs first.
OPERATORS = re.compile(r":[-=?+]|[=]|:|\^\^|\^|,,|,|//|/#|/%|/|##|#|%%|%")
DEFAULTS = (":-", ":=", ":?", ":+", "=")
# Of a longer value every beginning would have to be tried.
MOST = 4096


class Unread(Exception):
    """A reference that cannot be read, or is to what nothing sets."""


def expand(text: str, variables: Mapping[str, str]) -> str:
    """A text with its variables set; `$$` stands for `$`."""
    out, place = [], 0
    while (found := text.find("$", place)) >= 0:
        out.append(text[place:found])
        if text.startswith("$$", found):
            out.append("$")
            place = found + 2
        elif text.startswith("${", found):
            try:
                value, place = _reference(text, found + 2, variables)
            except Unread:
                value, place = "${", found + 2
            out.append(value)
        else:
            out.append("$")
            place = found + 1
    return "".join([*out, text[place:]])


def _reference(text: str, place: int, variables: Mapping[str, str]) -> tuple[str, int]:
    """The value of what stands from behind `${`, and where it ends."""
    if text.startswith("#", place):
        name, place = _name(text, place + 1)
        return str(len(_known(name, variables).encode())), _closed(text, place)
    name, place = _name(text, place)
    found = OPERATORS.match(text, place)
    if found is None:
        return _known(name, variables), _closed(text, place)
    sign, place = found[0], found.end()
    if sign in DEFAULTS:
        default, place = _parameter(text, place, variables, "}")
        return variables.get(name) or default, _closed(text, place)
    value = _known(name, variables)
    if sign in CASES:
        return CASES[sign](value), _closed(text, place)
    if sign == ":":
        return _part(text, place, value, variables)
    if sign.startswith("/"):
        return _replaced(text, place, value, variables, sign)
    pattern, place = _parameter(text, place, variables, "}")
    return TRIMS[sign](value, pattern), _closed(text, place)


def _name(text: str, place: int) -> tuple[str, int]:
    found = NAME.match(text, place)
    if found is None:
        raise Unread
    return found[0], found.end()


def _known(name: str, variables: Mapping[str, str]) -> str:
    if name not in variables:
        raise Unread
    return variables[name]


def _closed(text: str, place: int) -> int:
    if not text.startswith("}", place):
        raise Unread
    return place + 1


def _parameter(
    text: str, place: int, variables: Mapping[str, str], ends: str, is_escaped: bool = False
) -> tuple[str, int]:
    """What stands up to one of some signs, with the references in it; and where that is.

    Args:
        is_escaped: whether `\\/` stands for `/`.
    """
    out = []
    while place < len(text) and text[place] not in ends:
        if text.startswith("${", place):
            value, place = _reference(text, place + 2, variables)
            out.append(value)
        elif is_escaped and text[place : place + 2] in ("\\/", "\\\\"):
            out.append(text[place + 1])
            place += 2
        else:
            out.append(text[place])
            place += 1
    return "".join(out), place


def _part(text: str, place: int, value: str, variables: Mapping[str, str]) -> tuple[str, int]:
    first, place = _parameter(text, place, variables, ":}")
    length = None
    if text.startswith(":", place):
        length, place = _parameter(text, place + 1, variables, "}")
    place, held = _closed(text, place), value.encode()
    try:
        start = int(first)
        start = max(0, len(held) + start) if start < 0 else start
        end = len(held) if length is None else start + int(length)
    except ValueError:
        return value, place
    return held[start : max(start, end)].decode("utf-8", "replace"), place


def _replaced(text: str, place: int, value: str, variables: Mapping[str, str], sign: str) -> tuple[str, int]:
    old, place = _parameter(text, place, variables, "/}", True)
    if not text.startswith("/", place):
        raise Unread
    new, place = _parameter(text, place + 1, variables, "}", True)
    place = _closed(text, place)
    if sign == "/#":
        return (new + value[len(old) :] if value.startswith(old) else value), place
    if sign == "/%":
        return (value[: len(value) - len(old)] + new if value.endswith(old) else value), place
    return value.replace(old, new, 1 if sign == "/" else -1), place


def _fits(pattern: str) -> Callable[[str], bool]:
    """Whether a text fits a pattern with `*`, `?` and `[a-z]`."""
    out, place = "", 0
    while place < len(pattern):
        sign = pattern[place]
        place += 1
        if sign == "[" and "]" in pattern[place + 1 :]:
            end = pattern.index("]", place + 1)
            held = pattern[place:end].replace("\\", "\\\\")
            out, place = f"{out}[{held}]", end + 1
        else:
            out += {"*": ".*", "?": "."}.get(sign, re.escape(sign))
    # By a library that takes no longer than the text is long.
    found = regexp.compiled(f"(?s){out}")
    if found is None:
        raise Unread
    return lambda text: found.fullmatch(text) is not None


def _trimmed(value: str, pattern: str, is_longest: bool) -> str:
    if len(value) > MOST:
        raise Unread
    fits, lengths = _fits(pattern), range(1, len(value) + 1)
    size = next((size for size in (reversed(lengths) if is_longest else lengths) if fits(value[:size])), 0)
    return value[size:]


def _backwards(value: str, pattern: str, is_longest: bool) -> str:
    return _trimmed(value[::-1], pattern[::-1], is_longest)[::-1]


CASES: dict[str, Callable[[str], str]] = {
    "^": lambda value: value[:1].upper() + value[1:], "^^": str.upper,
    ",": lambda value: value[:1].lower() + value[1:], ",,": str.lower,
}  # fmt: skip
TRIMS: dict[str, Callable[[str, str], str]] = {
    "#": lambda value, pattern: _trimmed(value, pattern, False),
    "##": lambda value, pattern: _trimmed(value, pattern, True),
    "%": lambda value, pattern: _backwards(value, pattern, False),
    "%%": lambda value, pattern: _backwards(value, pattern, True),
}
