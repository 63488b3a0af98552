"""JSON with names of files that are not UTF-8: encoded without loss for the cache, readable in reports.

Python represents such a byte by a lone surrogate, which orjson refuses; all other values take orjson's fast way.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from gatekeeper.file_names import to_printable


def encode(value: Any) -> bytes:
    """Encodes a value so that `decode` returns the same."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


def decode(content: bytes) -> Any:
    """Decodes what `encode` wrote.

    Raises:
        ValueError: the content is not JSON.
    """
    try:
        return orjson.loads(content)
    except ValueError:
        return json.loads(content)


def format_report(value: Any) -> str:
    """Formats a value for people and programs, with `\\xe9` for a byte of a name that is not UTF-8."""
    try:
        text = orjson.dumps(value, option=orjson.OPT_INDENT_2)
    except TypeError:
        text = orjson.dumps(_replace_names(value), option=orjson.OPT_INDENT_2)
    return text.decode() + "\n"


def _replace_names(value: Any) -> Any:
    if isinstance(value, str):
        return to_printable(value)
    if isinstance(value, dict):
        return {_replace_names(key): _replace_names(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replace_names(item) for item in value]
    return value
