"""Scalars of YAML as Kubernetes reads them: text, numbers, booleans, null, and values with a tag."""

from __future__ import annotations

import base64
import datetime
import re
from typing import Any

from gatekeeper.host.lazy_pattern import compile_lazily

NULL_WORDS = {"", "~", "null", "Null", "NULL"}
TRUE_WORDS = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}
FALSE_WORDS = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}
NON_FINITE = compile_lazily(r"\.(nan|NaN|NAN)|[-+]?\.(inf|Inf|INF)")
FLOAT = compile_lazily(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INTEGER = compile_lazily(r"0x([0-9a-f]+)|0b([01]+)|0o?([0-7]+)|(0|[1-9][0-9]*)", re.IGNORECASE)
# The formats of go-yaml v2's `parseTimestamp`.
TIME = compile_lazily(
    r"(\d{4})-(\d\d?)-(\d\d?)"
    r"(?:(?:[Tt](?=.*(?:Z|[-+]\d\d:\d\d)$)| (?=[\d:.]+$))"
    r"(\d\d?):(\d\d?):(\d\d?)(?:\.\d{1,9})?(?:Z|[-+][01]\d:[0-5]\d)?)?"
)
# The types of values with a tag; a whole number is a float too.
TAG_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "null": (type(None),)}
# Go's decoder of base64 skips these.
LINE_ENDS = {ord("\r"): None, ord("\n"): None}
CORE_TAG_PREFIX = "tag:yaml.org,2002:"
# Line and column, from 1.
Mark = tuple[int, int]


class YamlSyntaxError(Exception):
    """A text is not YAML, or has a value that Kubernetes cannot read, at a line and column."""

    def __init__(self, message: str, mark: Mark) -> None:
        super().__init__(message)
        self.mark = mark


def resolve_scalar(text: str, is_plain: bool, tag: str | None, mark: Mark = (1, 1)) -> Any:
    """The value of a scalar as in Kubernetes.

    Source: go-yaml v2 `resolve`, which sigs.k8s.io/yaml uses.

    Raises:
        YamlSyntaxError: the value does not fit its tag.
    """
    kind = tag.removeprefix(CORE_TAG_PREFIX) if tag and tag.startswith(CORE_TAG_PREFIX) else tag
    if kind in TAG_TYPES:
        value = _resolve_plain(text, mark)
        if type(value) not in TAG_TYPES[kind] or (kind == "int" and not _is_integer(text)):
            raise YamlSyntaxError(f"a value is tagged !!{kind}, but is none", mark)
        return value
    if kind == "binary":
        try:
            return base64.b64decode(text.translate(LINE_ENDS), validate=True).decode("utf-8", "replace")
        except ValueError as error:
            raise YamlSyntaxError("a value is tagged !!binary, but is no base64", mark) from error
    if kind == "timestamp" and not _is_time(text):
        raise YamlSyntaxError("a value is tagged !!timestamp, but is no timestamp", mark)
    return _resolve_plain(text, mark) if is_plain and not kind else text


def _is_integer(text: str) -> bool:
    """Whether a number is written as a whole number, and not as `1.0` or `1e3`."""
    return INTEGER.fullmatch(text.replace("_", "").removeprefix("-").removeprefix("+")) is not None


def _is_time(text: str) -> bool:
    """Whether a text is surely a time to go-yaml."""
    found = TIME.fullmatch(text)
    if found is None:
        return False
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
    try:
        # Raises ValueError for a time that does not exist.
        datetime.datetime(year, month, day, hour=hour, minute=minute, second=second)
    except ValueError:
        return False
    return True


def _resolve_plain(text: str, mark: Mark) -> Any:
    if text in NULL_WORDS:
        return None
    if text in TRUE_WORDS or text in FALSE_WORDS:
        return text in TRUE_WORDS
    if NON_FINITE.fullmatch(text):
        raise YamlSyntaxError(f"{text} has no form in JSON, so Kubernetes cannot read it", mark)
    if text[0] not in "0123456789+-.":
        return text
    return _parse_number(text.replace("_", ""), text)


def _parse_number(cleaned: str, text: str) -> Any:
    if text.startswith(".") and cleaned != text:
        # go-yaml skips underscores only in numbers that start with a digit or a sign.
        return text
    sign, digits = (cleaned[0], cleaned[1:]) if cleaned[:1] in ("-", "+") else ("", cleaned)
    match = INTEGER.fullmatch(digits)
    if match:
        base = next(base for base, part in zip((16, 2, 8, 10), match.groups(), strict=True) if part is not None)
        value = int(next(part for part in match.groups() if part is not None), base)
        value = -value if sign == "-" else value
        if -(2**63) <= value < 2**64:
            return value
    if not FLOAT.fullmatch(cleaned):
        return text
    number = float(cleaned)
    if number in (float("inf"), float("-inf")):
        return text
    return int(number) if number.is_integer() and abs(number) < 1e21 and abs(number) < 2**63 else number
