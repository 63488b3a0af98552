"""Edits of sealed values in a file that keep comments, order, quotes and all other values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gatekeeper.errors import SecretFileError
from gatekeeper.model import get_field
from gatekeeper.workspace import documents

ENCRYPTED_DATA_PATH = ("spec", "encryptedData")


def replace_texts(content: str, changes: Mapping[str, str], name: str) -> str:
    """Replace texts in a file's content.

    Args:
        changes: the new text for each old text, which must occur exactly once.
        name: the file, for messages.

    Raises:
        SecretFileError: an old text does not occur exactly once, for example because it spans several lines.
    """
    for old, new in changes.items():
        if content.count(old) != 1:
            raise SecretFileError(
                f"{name}: a sealed value spans several lines or occurs twice; write each value once, on one line"
            )
        content = content.replace(old, new)
    return content


def set_values(content: str, changes: Mapping[str, str], name: str) -> str:
    """Set sealed values, by key, in the content of a file with one SealedSecret.

    Raises:
        SecretFileError: the file does not hold exactly one object, or cannot be edited in place.
    """
    parsed, failure = documents.parse(content.encode())
    if failure is not None or len(parsed) != 1:
        raise SecretFileError(f"{name}: must hold exactly one SealedSecret")
    value = documents.to_value(parsed[0])
    encrypted_data = get_field(value, ENCRYPTED_DATA_PATH)
    encrypted_data = encrypted_data if isinstance(encrypted_data, dict) else {}
    if content.lstrip().startswith("{"):
        return _set_json_values(value, changes)
    replacements = {str(encrypted_data[key]): text for key, text in changes.items() if key in encrypted_data}
    content = replace_texts(content, replacements, name)
    additions = {key: text for key, text in changes.items() if key not in encrypted_data}
    return _append_values(content, additions, name) if additions else content


def _set_json_values(value: dict[str, Any], changes: Mapping[str, str]) -> str:
    spec = value.setdefault("spec", {})
    spec["encryptedData"] = {**(spec.get("encryptedData") or {}), **changes}
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n"


def _append_values(content: str, additions: Mapping[str, str], name: str) -> str:
    """Insert values after the last value, with the same indentation."""
    [document] = documents.parse(content.encode())[0]
    encrypted_data = get_field(documents.to_value(document), ENCRYPTED_DATA_PATH)
    lines = content.splitlines(keepends=True)
    locations = [document.locate((*ENCRYPTED_DATA_PATH, key), True) for key in encrypted_data or {}]
    if not locations:
        raise SecretFileError(f"{name}: has no sealed value to add others after; seal the whole Secret instead")
    line, column = max((line, column) for _, line, column in locations)
    if len({line for _, line, _ in locations}) < len(locations) or not lines[line - 1].endswith("\n"):
        raise SecretFileError(
            f"{name}: several values are on one line, or the last line has no line end; write one value per line"
        )
    text = "".join(f"{' ' * (column - 1)}{key}: {value}\n" for key, value in additions.items())
    return "".join([*lines[:line], text, *lines[line:]])
