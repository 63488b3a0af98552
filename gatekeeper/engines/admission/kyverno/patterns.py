"""Kyverno's patterns: whether a resource looks like one, and where it does not.

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
    """A part of a resource is not as the pattern wants."""

    def __init__(self, path: FieldPath, reason: str) -> None:
        super().__init__(f"{format_path(path) or 'the resource'} {reason}")
        self.path = path


class PatternSkipped(Exception):
    """The pattern is for other resources: a condition in it does not hold."""


def is_wildcard_match(pattern: str, text: str) -> bool:
    """Whether a text matches a pattern of `*` (any letters) and `?` (one letter)."""
    escaped = pattern.replace("[", "[[]")
    return fnmatch.fnmatchcase(text, escaped)


def require_match(value: Any, pattern: Any, path: FieldPath = ()) -> None:
    """Compares a value with a pattern.

    Raises:
        Mismatch: it is not as the pattern wants.
        Skipped: the pattern is not for it.
        PolicyError: the pattern holds what is not known here.
    """
    if isinstance(pattern, Mapping):
        if not isinstance(value, Mapping):
            raise PatternMismatch(path, "is missing" if value is None else "is no mapping")
        _require_mapping_match(value, pattern, path)
    elif isinstance(pattern, list):
        if not isinstance(value, list):
            raise PatternMismatch(path, "is missing" if value is None else "is no list")
        _require_list_match(value, pattern, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _require_leaf_match(item, pattern, (*path, index))
    else:
        _require_leaf_match(value, pattern, path)


def _require_leaf_match(value: Any, pattern: Any, path: FieldPath) -> None:
    if not is_scalar_match(value, pattern):
        wanted = "must not be there" if pattern is None else f"must be {pattern}"
        raise PatternMismatch(path, wanted)


def _require_mapping_match(value: Mapping[str, Any], pattern: Mapping[str, Any], path: FieldPath) -> None:
    if path and path[-1] in ("labels", "annotations", "matchLabels"):
        pattern = _expand_wildcard_keys(value, pattern)
    anchored = {key: found for key in pattern if (found := ANCHOR.fullmatch(str(key)))}
    for key, found in anchored.items():
        _apply_anchor(value, found.group(1), found.group(2), pattern[key], path)
    plain = [key for key in pattern if key not in anchored]
    # What has a condition within is looked at first: it may say that the pattern is for others.
    for key in sorted(plain, key=lambda key: not _has_condition(pattern[key])):
        wanted = pattern[key]
        if wanted == "*":
            if value.get(key) is None:
                raise PatternMismatch((*path, key), "is missing")
        else:
            require_match(value.get(key), wanted, (*path, key))


def _apply_anchor(value: Mapping[str, Any], anchor: str, key: str, pattern: Any, path: FieldPath) -> None:
    here = (*path, key)
    if anchor == "+":
        raise PolicyError(f"the anchor `+({key})` changes resources; it is for mutation only")
    if anchor == "X":
        if key in value:
            raise PatternMismatch(here, "must not be there")
        return
    if key not in value:
        if anchor == "":
            raise PatternSkipped(f"{format_path(here)} is not there")
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
    """Each pattern of the list must fit an item at least."""
    if not isinstance(value, list) or not isinstance(patterns, list):
        raise PatternMismatch(path, "is no list")
    for pattern in patterns:
        for index, item in enumerate(value):
            try:
                require_match(item, pattern, (*path, index))
                break
            except (PatternMismatch, PatternSkipped):
                continue
        else:
            raise PatternMismatch(path, "has no item as it is demanded")


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
        for index, (item, wanted) in enumerate(zip(value, pattern, strict=True)):
            require_match(item, wanted, (*path, index))


def _require_each_match(value: list[Any], pattern: Mapping[str, Any], path: FieldPath) -> None:
    """Every item must fit, but those that the pattern's conditions leave out; if these are all, it is for others."""
    left_out: PatternSkipped | None = None
    fitting = 0
    for index, item in enumerate(value):
        try:
            require_match(item, pattern, (*path, index))
            fitting += 1
        except PatternSkipped as error:
            left_out = error
    if left_out and not fitting:
        raise left_out


def _has_condition(pattern: Any) -> bool:
    if isinstance(pattern, Mapping):
        return any(ANCHOR.fullmatch(str(key)) or _has_condition(held) for key, held in pattern.items())
    return isinstance(pattern, list) and any(_has_condition(item) for item in pattern)


def _expand_wildcard_keys(value: Mapping[str, Any], pattern: Mapping[str, Any]) -> dict[str, Any]:
    """A key with wildcards stands for the first key of the resource that it fits."""
    out: dict[str, Any] = {}
    for key, wanted in pattern.items():
        found = ANCHOR.fullmatch(str(key))
        bare = found.group(2) if found else str(key)
        if any(letter in bare for letter in WILDCARDS):
            bare = next((known for known in value if is_wildcard_match(bare, str(known))), bare)
        out[f"{found.group(1)}({bare})" if found else bare] = wanted
    return out


def is_scalar_match(value: Any, pattern: Any) -> bool:
    """Whether a value that is no collection fits a pattern that is none."""
    if pattern is None:
        return value is None or value is False or value in (0, "")
    if isinstance(pattern, bool):
        return value is pattern
    if isinstance(pattern, int | float):
        return _is_equal_number(value, pattern)
    if not isinstance(pattern, str):
        return False
    if "$(" in pattern:
        raise PolicyError(f"the reference `{pattern}` to another field is not known here")
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
    found = RANGE.fullmatch(pattern)
    if found:
        low, outside, high = found.groups()
        if outside:
            return compare(value, low, "<") or compare(value, high, ">")
        return compare(value, low, ">=") and compare(value, high, "<=")
    operator = next((word for word in COMPARISON_OPERATORS if pattern.startswith(word) and len(pattern) > 1), "")
    return compare(value, pattern[len(operator) :].strip(), operator)


def compare(value: Any, expected: str, operator: str) -> bool:
    """Compares by an operator (none: equal), as durations, as quantities, or as texts with wildcards.

    Args:
        operator: one of `>=`, `<=`, `>`, `<`, `!` and nothing.
    """
    text = format_scalar(value)
    if text is None:
        return False
    for reader in (parse_duration, parse_quantity):
        left, right = reader(text), reader(expected)
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
    """A scalar as Kyverno compares it; None for what is no scalar."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else None
