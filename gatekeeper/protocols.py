"""The interface of a Rego engine: its queries and its results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from gatekeeper.named_tuple import NamedTuple


class QueryResult(NamedTuple):
    """The result of one rule on one input: its value, or why it could not be evaluated."""

    input_index: int
    query: str
    value: Any
    error: str


class RegoEngine(Protocol):
    """Loaded policies that can be evaluated."""

    @property
    def name(self) -> tuple[str, str]:
        """The name and version of the engine, for the report."""

    def evaluate(self, inputs: Sequence[tuple[bytes, Sequence[str]]]) -> list[QueryResult]:
        """Evaluates rules on inputs; results in the order of the inputs, without undefined and empty ones.

        Args:
            inputs: each a JSON text, and the rules to evaluate on it (`data.package.rule`).

        Raises:
            PolicyError: the engine has stopped, or refuses the request.
        """

    def close(self) -> None:
        """Stops what the engine started."""
