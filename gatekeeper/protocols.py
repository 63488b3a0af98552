"""The boundaries between rooms: what a reader of positions, an origin and a Rego engine must do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from gatekeeper.model import FieldPath, Location


class ParsedDocument(Protocol):
    """A parsed document that knows where its parts stand."""

    @property
    def json(self) -> bytes:
        """The value as JSON text."""

    @property
    def start(self) -> tuple[int, int]:
        """Line and column of the first node, from 1."""

    @property
    def head(self) -> tuple[str, str, str, str] | None:
        """A Kubernetes object's apiVersion, kind, namespace and name (empty where it has none); None for others."""

    @property
    def duplicates(self) -> Sequence[tuple[str, int, int, int]]:
        """Keys written twice in one mapping: (key, line, column, line of the first)."""

    def locate(self, path: FieldPath, key: bool = False) -> tuple[int, int, int]:
        """How many steps of the path exist, and line and column of the last that does (its key, if `key`)."""


class Origin(Protocol):
    """Where a resource comes from."""

    @property
    def file(self) -> str:
        """The file that holds the resource before rendering, relative to the repository's root."""

    def find_location(self, path: FieldPath, key: bool = False) -> Location:
        """The spot that set a field of the resource, or the deepest part of its path that exists."""


class QueryResult(NamedTuple):
    """What one rule said of one input: its value, or why it could not be evaluated."""

    input_index: int
    query: str
    value: Any
    error: str


class RegoEngine(Protocol):
    """Policies that are loaded and ready to be asked."""

    @property
    def name(self) -> tuple[str, str]:
        """The engine's name and version, for the report."""

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[QueryResult]:
        """Asks each input (JSON) its rules (`data.package.rule`), in order; undefined and empty answers left out.

        Raises:
            PolicyError: the engine itself is gone or refuses the request.
        """

    def close(self) -> None:
        """Ends whatever the engine started."""
