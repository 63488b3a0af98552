"""Input and output of the commands: files, standard input, Kubernetes objects."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from gatekeeper.errors import SecretFileError, UsageError
from gatekeeper.terminal.yaml_output import dump_yaml
from gatekeeper.workspace import documents

MAX_BYTES = 16 * 1024 * 1024


def parse_objects(content: bytes, name: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yields each object of a file, also of a List, with its location as `name:line`.

    Raises:
        SecretFileError: the file is not YAML or JSON, has a duplicate key, or contains no object.
    """
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SecretFileError(f"{name}: not UTF-8 text (byte {error.start})") from None
    parsed, failure = documents.parse(content)
    if failure is not None:
        raise SecretFileError(f"{name}:{failure[1]}:{failure[2]}: invalid YAML or JSON: {failure[0]}")
    is_empty = True
    for document in parsed:
        for key, line, _, first in document.duplicates:
            raise SecretFileError(f"{name}:{line}: duplicate key `{key}`, first in line {first}; remove one")
        value = documents.to_value(document)
        listed = value.get("items") if isinstance(value, dict) and value.get("kind") == "List" else [value]
        for item in listed if isinstance(listed, list) else ():
            if isinstance(item, dict):
                is_empty = False
                yield item, f"{name}:{document.start[0]}"
    if is_empty:
        raise SecretFileError(f"{name}: contains no object")


def format_objects(values: Sequence[dict[str, Any]], output_format: str) -> str:
    """Formats objects as one YAML stream or as JSON documents."""
    if output_format == "json":
        return "".join(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n" for value in values)
    return "---\n".join(dump_yaml(value) for value in values)


def read_input(path: Path | None) -> bytes:
    """Reads a file or standard input, up to the size limit.

    Raises:
        UsageError: the file cannot be read.
        SecretFileError: it is larger than any Secret.
    """
    if path is None or str(path) == "-":
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        try:
            with path.open("rb") as handle:
                content = handle.read(MAX_BYTES + 1)
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        raise SecretFileError(f"{path or 'standard input'}: larger than {MAX_BYTES >> 20} MB, which no Secret can be")
    return content
