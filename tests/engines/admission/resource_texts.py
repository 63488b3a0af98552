"""Resources from texts, for the tests of this room."""

from __future__ import annotations

from gatekeeper import documents
from gatekeeper.documents import Source
from gatekeeper.model import Resource
from gatekeeper.render import plain


def resources(text: str) -> list[Resource]:
    """All resources of a text."""
    parsed, failure = documents.parse(text.encode())
    assert failure is None, failure
    return list(plain.resources(Source("object.yaml", "documents", tuple(parsed))))


def resource(text: str) -> Resource:
    """The one resource of a text."""
    [one] = resources(text)
    return one
