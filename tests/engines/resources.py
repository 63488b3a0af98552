"""Resources for tests of engines, parsed from text as in a repository."""

from __future__ import annotations

from typing import Any

import orjson

from gatekeeper.model import Resource
from gatekeeper.render import manifests
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import ParsedFile


def parse_resources(text: str, file: str = "a.yaml") -> list[Resource]:
    """The resources of a file with this text."""
    parsed, failure = documents.parse(text.encode())
    assert failure is None
    return list(manifests.list_resources(ParsedFile(file, "documents", tuple(parsed))))


def build_resource(value: dict[str, Any], file: str = "a.yaml") -> Resource:
    """One resource of a file that holds this value as JSON."""
    [resource] = parse_resources(orjson.dumps(value).decode(), file)
    return resource
