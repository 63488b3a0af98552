"""Matches resources with Kyverno's patterns, and finds where they differ.

Source: https://kyverno.io/docs/policy-types/cluster-policy/validate/#patterns and Kyverno `pkg/engine/validate`,
`pkg/engine/anchor`, `pkg/engine/pattern`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from typing import Any

from gatekeeper.engines.admission.kyverno.quantities import parse_duration, parse_quantity
from gatekeeper.errors import PolicyError
from gatekeeper.model import FieldPath, format_path

ANCHOR = re.compile(r"([+<=X^]?)\((.+)\)")
NUMBER = r"[-+]?\d+(?:\.\d+)?[A-Za-z]*"
RANGE = re.compile(rf"({NUMBER})(!?)-({NUMBER})")
COMPARISON_OPERATORS = (">=", "<=", ">", "<", "!")
WILDCARDS = ("*", "?")


class PatternMismatch(Exception):
    """A part of a resource does not match the pattern."""

    def __init__(self, path: FieldPath, reason: str) -> None:
        super().__init__(f"{format_path(path) or 'the resource'} {reason}")
        self.path = path


class PatternSkipped(Exception):
    """A condition in the pattern does not hold, so the pattern does not apply to the resource."""


def is_wildcard_match(pattern: str, text: str) -> bool:
    """Whether a text matches a pattern with `*` (any characters) and `?` (one character)."""
    escaped = pattern.replace("[", "[[]")
    return fnmatch.fnmatchcase(text, escaped)


def require_match(value: Any, pattern: Any, path: FieldPath = ()) -> None:
    """Requires that a value matches a pattern.

    Args:
        path: the field of the value in the resource.

    Raises:
        PatternMismatch: the value does not match.
        PatternSkipped: the pattern does not apply to it.
        PolicyError: the pattern uses an unsupported feature.
    """
    if isinstance(pattern, Mapping):
        if not isinstance(value, Mapping):
            raise PatternMismatch(path, "is missing" if value is None else "is not a mapping")
        _require_mapping_match(value, pattern, path)
    elif isinstance(pattern, list):
        if not isinstance(value, list):
            raise PatternMismatch(path, "is missing" if value is None else "is not a list")
        _require_list_match(value, pattern, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _require_leaf_match(item, pattern, (*path, index))
    else:
        _require_leaf_match(value, pattern, path)


def _require_leaf_match(value: Any, pattern: Any, path: FieldPath) -> None:
    if not is_scalar_match(value, pattern):
        reason = "must not be set" if pattern is None else f"must be {pattern}"
        raise PatternMismatch(path, reason)


def _require_mapping_match(value: Mapping[str, Any], pattern: Mapping[str, Any], path: FieldPath) -> None:
    if path and path[-1] in ("labels", "annotations", "matchLabels"):
        pattern = _expand_wildcard_keys(value, pattern)
    anchored = {key: anchor for key in pattern if (anchor := ANCHOR.fullmatch(str(key)))}
    for key, anchor in anchored.items():
        _apply_anchor(value, anchor.group(1), anchor.group(2), pattern[key], path)
    plain = [key for key in pattern if key not in anchored]
    # Fields with a condition inside come first: the condition may say that the pattern does not apply.
    for key in sorted(plain, key=lambda key: not _has_condition(pattern[key])):
        field_pattern = pattern[key]
        if field_pattern == "*":
            if value.get(key) is None:
                raise PatternMismatch((*path, key), "is missing")
        else:
            require_match(value.get(key), field_pattern, (*path, key))


def _apply_anchor(value: Mapping[str, Any], anchor: str, key: str, pattern: Any, path: FieldPath) -> None:
    here = (*path, key)
    if anchor == "+":
        raise PolicyError(f"the anchor `+({key})` is for mutation only")
    if anchor == "X":
        if key in value:
            raise PatternMismatch(here, "must not be set")
        return
    if key not in value:
        if anchor == "":
            raise PatternSkipped(f"{format_path(here)} is missing")
        return
    if anchor == "=":
        require_match(value[key], pattern, here)
    elif anchor == "^":
        _require_existing_items(value[key], pattern, here)
    else:
        try:
            require_match(value[key], pattern, here)
        except PatternMismatch as error:
            raise PatternSkipped(str(error)) from error


def _require_existing_items(value: Any, patterns: Any, path: FieldPath) -> None:
    """Requires that each pattern of a list matches at least one item."""
    if not isinstance(value, list) or not isinstance(patterns, list):
        raise PatternMismatch(path, "is not a list")
    for pattern in patterns:
        for index, item in enumerate(value):
            try:
                require_match(item, pattern, (*path, index))
                break
            except (PatternMismatch, PatternSkipped):
                continue
        else:
            raise PatternMismatch(path, "has no item that matches the pattern")


def _require_list_match(value: list[Any], pattern: list[Any], path: FieldPath) -> None:
    if not pattern:
        raise PolicyError(f"the pattern's list at {format_path(path)} is empty")
    first = pattern[0]
    if isinstance(first, Mapping):
        _require_each_match(value, first, path)
    elif not isinstance(first, list):
        for index, item in enumerate(value):
            require_match(item, first, (*path, index))
    elif len(value) != len(pattern):
        raise PatternMismatch(path, f"must have {len(pattern)} items")
    else:
        for index, (item, item_pattern) in enumerate(zip(value, pattern, strict=True)):
            require_match(item, item_pattern, (*path, index))


def _require_each_match(value: list[Any], pattern: Mapping[str, Any], path: FieldPath) -> None:
    """Requires that each item matches or is excluded by a condition; if all are excluded, the pattern is skipped."""
    skipped: PatternSkipped | None = None
    match_count = 0
    for index, item in enumerate(value):
        try:
            require_match(item, pattern, (*path, index))
            match_count += 1
        except PatternSkipped as error:
            skipped = error
    if skipped and not match_count:
        raise skipped


def _has_condition(pattern: Any) -> bool:
    if isinstance(pattern, Mapping):
        return any(ANCHOR.fullmatch(str(key)) or _has_condition(item) for key, item in pattern.items())
    return isinstance(pattern, list) and any(_has_condition(item) for item in pattern)


def _expand_wildcard_keys(value: Mapping[str, Any], pattern: Mapping[str, Any]) -> dict[str, Any]:
    """Replaces each key with wildcards by the first key of the resource that it matches."""
    expanded: dict[str, Any] = {}
    for key, field_pattern in pattern.items():
        anchor = ANCHOR.fullmatch(str(key))
        bare = anchor.group(2) if anchor else str(key)
        if any(letter in bare for letter in WILDCARDS):
            bare = next((known for known in value if is_wildcard_match(bare, str(known))), bare)
        expanded[f"{anchor.group(1)}({bare})" if anchor else bare] = field_pattern
    return expanded


def is_scalar_match(value: Any, pattern: Any) -> bool:
    """Whether a scalar value matches a scalar pattern.

    Raises:
        PolicyError: the pattern refers to another field, which is not supported.
    """
    if pattern is None:
        return value is None or value is False or value in (0, "")
    if isinstance(pattern, bool):
        return value is pattern
    if isinstance(pattern, int | float):
        return _is_equal_number(value, pattern)
    if not isinstance(pattern, str):
        return False
    if "$(" in pattern:
        raise PolicyError(f"the reference `{pattern}` to another field is not supported")
    if value == pattern:
        return True
    return any(
        all(_is_text_match(value, part.strip()) for part in choice.strip().split("&")) for choice in pattern.split("|")
    )


def _is_equal_number(value: Any, pattern: float) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return False
    return isinstance(value, int | float) and value == pattern


def _is_text_match(value: Any, pattern: str) -> bool:
    bounds = RANGE.fullmatch(pattern)
    if bounds:
        low, is_outside, high = bounds.groups()
        if is_outside:
            return compare(value, low, "<") or compare(value, high, ">")
        return compare(value, low, ">=") and compare(value, high, "<=")
    operator = next((sign for sign in COMPARISON_OPERATORS if pattern.startswith(sign) and len(pattern) > 1), "")
    return compare(value, pattern[len(operator) :].strip(), operator)


def compare(value: Any, expected: str, operator: str) -> bool:
    """Compares a value as a duration, as a quantity, or as a text with wildcards.

    Args:
        operator: one of `>=`, `<=`, `>`, `<`, `!`, or empty for equal.
    """
    text = format_scalar(value)
    if text is None:
        return False
    for parse in (parse_duration, parse_quantity):
        left, right = parse(text), parse(expected)
        if left is not None and right is not None and _is_ordered(left < right, left == right, operator):
            return True
        if left is not None and right is not None and operator:
            return False
    if operator == "":
        return is_wildcard_match(expected, text)
    return operator == "!" and not is_wildcard_match(expected, text)


def _is_ordered(is_less: bool, is_equal: bool, operator: str) -> bool:
    return {
        "": is_equal,
        "!": not is_equal,
        "<": is_less,
        "<=": is_less or is_equal,
        ">": not (is_less or is_equal),
        ">=": not is_less,
    }[operator]


def format_scalar(value: Any) -> str | None:
    """Formats a scalar as Kyverno compares it; None for other values."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else None
