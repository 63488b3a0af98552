"""Typed reading of the fields of policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatekeeper.errors import PolicyError


def read_text(holder: Mapping[str, Any], field: str) -> str:
    """Reads a field that must be a text.

    Raises:
        PolicyError: the field is missing, or is not a text.
    """
    text = holder.get(field)
    if not isinstance(text, str):
        raise PolicyError(f"`{field}` must be a string")
    return text


def parse_texts(value: Any, field: str) -> tuple[str, ...]:
    """Parses a list of texts; no list is an empty one. `field` is its name in messages.

    Raises:
        PolicyError: the value is something else.
    """
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise PolicyError(f"`{field}` must be a list of strings")
    return tuple(value)


def read_mappings(holder: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    """Reads a field that must be a list of mappings; no list is an empty one.

    Raises:
        PolicyError: the field is something else.
    """
    items = holder.get(field) or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise PolicyError(f"`{field}` must be a list of mappings")
    return items


def reject_unknown_fields(holder: Mapping[str, Any], known: frozenset[str], name: str) -> None:
    """Rejects fields that are not known; `name` is the name of the holder in messages.

    Raises:
        PolicyError: with the unknown field and all known ones.
    """
    for field in holder.keys() - known:
        raise PolicyError(f"unknown field `{field}` in {name}; the fields are {', '.join(sorted(known))}")
