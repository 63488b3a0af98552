"""JSON with names of files that are not UTF-8: encoded without loss for the cache, readable in reports.

Python represents such a byte by a lone surrogate, which orjson refuses; all other values take orjson's fast way, except
small ones: loading orjson takes longer than decoding them, and a hook whose verdict is cached does without it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from gatekeeper.file_names import to_printable

MAX_SMALL_BYTES = 512 * 1024


def encode(value: Any) -> bytes:
    """Encodes a value so that `decode` returns the same."""
    # Slow to load.
    import orjson

    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


def decode(content: bytes) -> Any:
    """Decodes JSON of this program: what `encode` or the YAML reader wrote.

    Raises:
        ValueError: the content is not JSON.
    """
    if len(content) <= MAX_SMALL_BYTES:
        # orjson may read what it refuses: numbers of thousands of digits, deep nesting.
        with suppress(ValueError, RecursionError):
            return json.loads(content)
    # Slow to load.
    import orjson

    try:
        return orjson.loads(content)
    except ValueError:
        return json.loads(content)


def format_report(value: Any) -> str:
    """Formats a value for people and programs, with `\\xe9` for a byte of a name that is not UTF-8."""
    # Slow to load.
    import orjson

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
