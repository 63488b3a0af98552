"""Resources from texts, for the tests of this room."""

from __future__ import annotations

from gatekeeper.model import Resource
from gatekeeper.render import manifests
from gatekeeper.workspace import documents
from gatekeeper.workspace.documents import ParsedFile


def resources(text: str) -> list[Resource]:
    """All resources of a text."""
    parsed, failure = documents.parse(text.encode())
    assert failure is None, failure
    return list(manifests.list_resources(ParsedFile("object.yaml", "documents", tuple(parsed))))


def resource(text: str) -> Resource:
    """The one resource of a text."""
    [one] = resources(text)
    return one
