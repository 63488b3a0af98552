"""The interface of every secret store, its errors, and what is read from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gatekeeper.errors import GatekeeperError
from gatekeeper.gocompat import regexp
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.secret_value import SecretBytes

# The JSON encoder of Go escapes these characters in texts.
GO_JSON_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


class SecretRef(NamedTuple):
    """One secret of a store. It is fetched once, however many references use parts of it.

    Attributes:
        version: empty for the newest version.
        is_metadata: whether the metadata is fetched instead of the value.
    """

    key: str
    version: str = ""
    is_metadata: bool = False

    def __str__(self) -> str:
        version = f" (version {self.version})" if self.version else ""
        return f"{'the metadata of ' if self.is_metadata else ''}`{self.key}`{version}"


class StoreError(GatekeeperError):
    """A store, or one secret of it, cannot be read.

    Attributes:
        is_transient: whether a later attempt may succeed, so that nothing may be deleted because of this error.
        is_store_wide: whether the whole store fails, so that no other secret of it can be read either.
    """

    exit_code = 3

    def __init__(self, message: str, is_transient: bool = False, is_store_wide: bool = False) -> None:
        super().__init__(message)
        self.is_transient = is_transient
        self.is_store_wide = is_store_wide


class SecretNotFoundError(StoreError):
    """The store answered that it has no such secret."""


class StructuredSecret(SecretBytes):
    """A secret with named parts, which may be binary; as a whole it is the JSON of the parts."""

    __slots__ = ("parts",)

    def __init__(self, content: bytes, parts: Mapping[str, SecretBytes]) -> None:
        super().__init__(content)
        self.parts = parts


FetchOutcome = SecretBytes | StoreError


class SecretQuery(NamedTuple):
    """A search for secrets below a path, by name (a Go regular expression) and tags; an empty field matches all."""

    path: str
    name: str
    tags: Mapping[str, str]


class StoreRetryPolicy(NamedTuple):
    """How often a request is retried after a transient error, and the seconds before the first retry.

    None in either field selects the default of the provider.
    """

    max_retries: int | None = None
    first_delay_seconds: float | None = None


class Store(Protocol):
    """An open store: one session for all reads.

    A store that loses its connection keeps failing; its owner closes it and opens a new one.
    """

    def fetch(self, refs: Sequence[SecretRef]) -> list[FetchOutcome]:
        """Fetch secrets; return the JSON or text of each, or the reason for each failure, in order."""

    def find(self, query: SecretQuery) -> Mapping[str, SecretBytes]:
        """Return all secrets that match a query, by name.

        Raises:
            StoreError: the store fails, or does not support this query.
        """

    @property
    def request_count(self) -> int:
        """The number of requests so far."""

    def renew_session(self) -> bool:
        """Return whether the store can be used again; renews the session if that is due."""

    def close(self) -> None:
        """Release connections, sessions and files."""


def encode_go_json(value: Any) -> bytes:
    """Encode a value as Go's `encoding/json` does: sorted keys, no spaces, `<`, `>` and `&` escaped."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return "".join(GO_JSON_ESCAPES.get(char, char) for char in text).encode("utf-8", "surrogatepass")


def compile_name_pattern(name: str) -> Any:
    """Compile the name pattern of a query; it is not anchored.

    Raises:
        StoreError: the pattern is not a Go regular expression.
    """
    pattern = regexp.compile_pattern(name)
    if pattern is None:
        raise StoreError(f"`{name}` is not a Go regular expression (RE2)")
    return pattern
