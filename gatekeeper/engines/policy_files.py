"""Reading of policy files: their names in messages, their text, and their YAML or JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gatekeeper.errors import PolicyError
from gatekeeper.file_names import to_printable
from gatekeeper.model import ParsedDocument
from gatekeeper.workspace import documents
from gatekeeper.workspace.text_encoding import convert_to_utf8


def format_name(path: Path, root: Path) -> str:
    """Formats a path for messages: relative to the root where it lies below it."""
    return to_printable(path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix())


def read_bytes(path: Path, name: str, max_bytes: int | None = None) -> bytes:
    """Reads a file; `name` is its name in messages.

    Raises:
        PolicyError: the file cannot be read, or is larger than `max_bytes`.
    """
    try:
        if max_bytes is not None and path.stat().st_size > max_bytes:
            raise PolicyError(f"{name}: larger than {max_bytes >> 20} MB")
        return path.read_bytes()
    except OSError as error:
        raise PolicyError(f"{name}: cannot be read: {error.strerror or error}") from error


def read_text(path: Path, name: str) -> str:
    """Reads a file in UTF-8; `name` is its name in messages.

    Raises:
        PolicyError: the file cannot be read, or is not UTF-8.
    """
    content = read_bytes(path, name)
    if convert_to_utf8(content) not in (content, None):
        raise PolicyError(f"{name}: cannot be read: UTF-16 or UTF-32; save it in UTF-8")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PolicyError(f"{name}: cannot be read: not UTF-8 at byte {error.start}") from error


def parse_documents(content: bytes, name: str) -> list[ParsedDocument]:
    """Parses YAML or JSON documents; `name` is the name of the file in messages.

    Raises:
        PolicyError: the content is not valid YAML or JSON.
    """
    parsed, failure = documents.parse(content)
    if failure is not None:
        reason, line, column = failure
        raise PolicyError(f"{name}:{line}:{column}: not valid YAML or JSON: {reason}")
    return parsed


def parse_values(content: bytes, name: str) -> list[Any]:
    """Parses YAML or JSON documents to Python values.

    Raises:
        PolicyError: the content is not valid YAML or JSON.
    """
    return [documents.to_value(document) for document in parse_documents(content, name)]


def parse_mapping(content: bytes, name: str) -> dict[str, Any]:
    """Parses the first YAML or JSON document, which must be a mapping.

    Raises:
        PolicyError: the content is not valid YAML or JSON, or is not a mapping.
    """
    values: Sequence[Any] = parse_values(content, name)
    if not values or not isinstance(values[0], dict):
        raise PolicyError(f"{name}: must be a mapping at its top level")
    return values[0]
