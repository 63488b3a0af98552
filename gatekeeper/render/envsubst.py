"""Substitution of `${VAR}` with the operators of bash, as Flux's `postBuild` does it.

Source: fluxcd/pkg `envsubst` (parse/parse.go, funcs.go). A variable that nothing sets, and what cannot be read, stays
unchanged, where Flux would write nothing or fail: no value is guessed. Tests run Flux's own cases.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from gatekeeper.gocompat import regexp

INTEGER_PATTERN = re.compile(r"[-+]?[0-9]{1,18}")
NAME_PATTERN = re.compile(r"\w+")
# The operators; longer ones come first.
OPERATOR_PATTERN = re.compile(r":[-=?+]|[=]|:|\^\^|\^|,,|,|//|/#|/%|/|##|#|%%|%")
DEFAULT_OPERATORS = (":-", ":=", ":?", ":+", "=")
# Matching a pattern tries every prefix of a value, so longer values are refused.
MAX_TRIM_LENGTH = 4096


class UnresolvedReference(Exception):
    """A reference that is malformed, or has no value."""


def expand_variables(text: str, variables: Mapping[str, str]) -> str:
    """Substitutes the variables in a text; `$$` is a literal `$`."""
    out, place = [], 0
    while (dollar := text.find("$", place)) >= 0:
        out.append(text[place:dollar])
        if text.startswith("$$", dollar):
            out.append("$")
            place = dollar + 2
        elif text.startswith("${", dollar):
            try:
                value, place = _expand_reference(text, dollar + 2, variables)
            except UnresolvedReference:
                value, place = "${", dollar + 2
            out.append(value)
        else:
            out.append("$")
            place = dollar + 1
    return "".join([*out, text[place:]])


def _expand_reference(text: str, offset: int, variables: Mapping[str, str]) -> tuple[str, int]:
    """The value of the reference whose `${` ends at an offset, and the offset of its end."""
    if text.startswith("#", offset):
        name, offset = _parse_name(text, offset + 1)
        return str(len(_look_up(name, variables).encode())), _expect_closing_brace(text, offset)
    name, offset = _parse_name(text, offset)
    operator = OPERATOR_PATTERN.match(text, offset)
    if operator is None:
        return _look_up(name, variables), _expect_closing_brace(text, offset)
    sign, offset = operator[0], operator.end()
    if sign in DEFAULT_OPERATORS:
        default, offset = _parse_parameter(text, offset, variables, "}")
        return variables.get(name) or default, _expect_closing_brace(text, offset)
    value = _look_up(name, variables)
    if sign in CASE_OPERATORS:
        return CASE_OPERATORS[sign](value), _expect_closing_brace(text, offset)
    if sign == ":":
        return _expand_substring(text, offset, value, variables)
    if sign.startswith("/"):
        return _expand_replacement(text, offset, value, variables, sign)
    pattern, offset = _parse_parameter(text, offset, variables, "}")
    return TRIM_OPERATORS[sign](value, pattern), _expect_closing_brace(text, offset)


def _parse_name(text: str, offset: int) -> tuple[str, int]:
    name_match = NAME_PATTERN.match(text, offset)
    if name_match is None:
        raise UnresolvedReference
    return name_match[0], name_match.end()


def _look_up(name: str, variables: Mapping[str, str]) -> str:
    if name not in variables:
        raise UnresolvedReference
    return variables[name]


def _expect_closing_brace(text: str, offset: int) -> int:
    if not text.startswith("}", offset):
        raise UnresolvedReference
    return offset + 1


def _parse_parameter(
    text: str, offset: int, variables: Mapping[str, str], terminators: str, is_escaped: bool = False
) -> tuple[str, int]:
    """What stands up to one of some signs, with the references in it; and where that is.

    Args:
        is_escaped: whether `\\/` means `/`.
    """
    out = []
    while offset < len(text) and text[offset] not in terminators:
        if text.startswith("${", offset):
            value, offset = _expand_reference(text, offset + 2, variables)
            out.append(value)
        elif is_escaped and text[offset : offset + 2] in ("\\/", "\\\\"):
            out.append(text[offset + 1])
            offset += 2
        else:
            out.append(text[offset])
            offset += 1
    return "".join(out), offset


def _expand_substring(text: str, offset: int, value: str, variables: Mapping[str, str]) -> tuple[str, int]:
    first, offset = _parse_parameter(text, offset, variables, ":}")
    length = None
    if text.startswith(":", offset):
        length, offset = _parse_parameter(text, offset + 1, variables, "}")
    offset, encoded = _expect_closing_brace(text, offset), value.encode()
    # As Go reads numbers: without blanks around them.
    if not all(INTEGER_PATTERN.fullmatch(number) for number in (first, length) if number is not None):
        return value, offset
    start = int(first)
    start = max(0, len(encoded) + start) if start < 0 else start
    end = len(encoded) if length is None else start + int(length)
    return encoded[start : max(start, end)].decode("utf-8", "replace"), offset


def _expand_replacement(
    text: str, offset: int, value: str, variables: Mapping[str, str], operator: str
) -> tuple[str, int]:
    old, offset = _parse_parameter(text, offset, variables, "/", True)
    if not text.startswith("/", offset):
        raise UnresolvedReference
    new, offset = _parse_parameter(text, offset + 1, variables, "}", True)
    offset = _expect_closing_brace(text, offset)
    if operator == "/#":
        return (new + value[len(old) :] if value.startswith(old) else value), offset
    if operator == "/%":
        return (value[: len(value) - len(old)] + new if value.endswith(old) else value), offset
    return value.replace(old, new, 1 if operator == "/" else -1), offset


def _compile_glob(pattern: str) -> Callable[[str], bool]:
    """Whether a text matches a pattern with `*`, `?` and `[a-z]`."""
    out, place = "", 0
    while place < len(pattern):
        sign = pattern[place]
        place += 1
        if sign == "[" and "]" in pattern[place + 1 :]:
            end = pattern.index("]", place + 1)
            characters = pattern[place:end].replace("\\", "\\\\")
            out, place = f"{out}[{characters}]", end + 1
        else:
            out += {"*": ".*", "?": "."}.get(sign, re.escape(sign))
    # RE2 takes linear time for every pattern.
    compiled = regexp.compile_pattern(f"(?s){out}")
    if compiled is None:
        raise UnresolvedReference
    return lambda text: compiled.fullmatch(text) is not None


def _trim_prefix(value: str, pattern: str, is_longest: bool) -> str:
    if len(value) > MAX_TRIM_LENGTH:
        raise UnresolvedReference
    fits, lengths = _compile_glob(pattern), range(1, len(value) + 1)
    size = next((size for size in (reversed(lengths) if is_longest else lengths) if fits(value[:size])), 0)
    return value[size:]


def _trim_suffix(value: str, pattern: str, is_longest: bool) -> str:
    return _trim_prefix(value[::-1], pattern[::-1], is_longest)[::-1]


CASE_OPERATORS: dict[str, Callable[[str], str]] = {
    "^": lambda value: value[:1].upper() + value[1:],
    "^^": str.upper,
    ",": lambda value: value[:1].lower() + value[1:],
    ",,": str.lower,
}
TRIM_OPERATORS: dict[str, Callable[[str, str], str]] = {
    "#": lambda value, pattern: _trim_prefix(value, pattern, False),
    "##": lambda value, pattern: _trim_prefix(value, pattern, True),
    "%": lambda value, pattern: _trim_suffix(value, pattern, False),
    "%%": lambda value, pattern: _trim_suffix(value, pattern, True),
}
