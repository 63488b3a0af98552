"""Changing sealed values in a file, and nothing else: comments, order, quotes and the other values stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gatekeeper.errors import SealError
from gatekeeper.model import get_field
from gatekeeper.workspace import documents

ENCRYPTED_DATA_PATH = ("spec", "encryptedData")


def replace_texts(content: str, changes: Mapping[str, str], name: str) -> str:
    """A text in which some texts stand for others.

    Args:
        changes: the new text for each old one, which must stand there exactly once.

    Raises:
        SealError: one does not, as where a value is written over several lines.
    """
    for old, new in changes.items():
        if content.count(old) != 1:
            raise SealError(
                f"{name}: a sealed value is written over several lines, or twice; write it on one line first"
            )
        content = content.replace(old, new)
    return content


def set_values(content: str, changes: Mapping[str, str], name: str) -> str:
    """The text of one SealedSecret with other or more sealed values, by key.

    Raises:
        SealError: the text holds several objects, or cannot be changed in place.
    """
    parsed, failure = documents.parse(content.encode())
    if failure is not None or len(parsed) != 1:
        raise SealError(f"{name}: must hold exactly one SealedSecret")
    value = documents.to_value(parsed[0])
    held = get_field(value, ENCRYPTED_DATA_PATH)
    held = held if isinstance(held, dict) else {}
    if content.lstrip().startswith("{"):
        return _set_json_values(value, changes)
    known = {str(held[key]): text for key, text in changes.items() if key in held}
    content = replace_texts(content, known, name)
    new = {key: text for key, text in changes.items() if key not in held}
    return _append_values(content, new, name) if new else content


def _set_json_values(value: dict[str, Any], changes: Mapping[str, str]) -> str:
    spec = value.setdefault("spec", {})
    spec["encryptedData"] = {**(spec.get("encryptedData") or {}), **changes}
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n"


def _append_values(content: str, additions: Mapping[str, str], name: str) -> str:
    """The text with more values behind the last one, indented as that is."""
    [document] = documents.parse(content.encode())[0]
    held = get_field(documents.to_value(document), ENCRYPTED_DATA_PATH)
    lines = content.splitlines(keepends=True)
    places = [document.locate((*ENCRYPTED_DATA_PATH, key), True) for key in held or {}]
    if not places:
        raise SealError(f"{name}: has no value yet to put others beside; seal it as a whole")
    line, column = max((line, column) for _, line, column in places)
    if len({line for _, line, _ in places}) < len(places) or not lines[line - 1].endswith("\n"):
        raise SealError(f"{name}: its values stand on one line, or the last line has no end; write one a line first")
    text = "".join(f"{' ' * (column - 1)}{key}: {value}\n" for key, value in additions.items())
    return "".join([*lines[:line], text, *lines[line:]])
