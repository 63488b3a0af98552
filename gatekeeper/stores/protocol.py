"""What every store does: give the values of some secrets at once, and tell of each that it cannot why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from gatekeeper.errors import GateError
from gatekeeper.gocompat import regexp
from gatekeeper.secret_value import SecretBytes

# What Go's JSON writes otherwise in texts, so that it can stand in a page.
GO_JSON_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


class SecretRef(NamedTuple):
    """One secret of a store, as it is read once for all who ask for parts of it.

    Attributes:
        version: empty for the newest.
        is_metadata: whether its metadata is asked for, and not its value.
    """

    key: str
    version: str = ""
    is_metadata: bool = False

    def __str__(self) -> str:
        version = f" (version {self.version})" if self.version else ""
        return f"{'the metadata of ' if self.is_metadata else ''}`{self.key}`{version}"


class StoreError(GateError):
    """A store, or one secret of it, cannot be read.

    Attributes:
        is_transient: whether trying again later can help, so that nothing may be deleted because of it.
        is_store_wide: whether it is the store that fails, so that nothing else of it can be read either.
    """

    exit_code = 3

    def __init__(self, message: str, is_transient: bool = False, is_store_wide: bool = False) -> None:
        super().__init__(message)
        self.is_transient = is_transient
        self.is_store_wide = is_store_wide


class SecretNotFoundError(StoreError):
    """The store answers, and has no such secret."""


class StructuredSecret(SecretBytes):
    """A secret that has values of its own by name, which may be no text; as a whole it is their JSON."""

    __slots__ = ("parts",)

    def __init__(self, content: bytes, parts: Mapping[str, SecretBytes]) -> None:
        super().__init__(content)
        self.parts = parts


FetchOutcome = SecretBytes | StoreError


class SecretQuery(NamedTuple):
    """All secrets below a path that have a name (a regular expression of Go's) and tags; empty: whatever it is."""

    path: str
    name: str
    tags: Mapping[str, str]


class StoreRetryPolicy(NamedTuple):
    """How often a request is made again that failed of what may pass, and seconds to the first; None: our choice."""

    max_retries: int | None = None
    first_delay_seconds: float | None = None


class Store(Protocol):
    """A store that is open: signed in once, for all that is read."""

    def fetch(self, refs: Sequence[SecretRef]) -> list[FetchOutcome]:
        """The JSON or text of each secret, or why there is none; in order."""

    def find(self, query: SecretQuery) -> Mapping[str, SecretBytes]:
        """All secrets of a kind, by name.

        Raises:
            StoreError: the store cannot be asked that.
        """

    @property
    def request_count(self) -> int:
        """How many requests were made so far."""

    def renew_session(self) -> bool:
        """Whether it can be used once more, later: still signed in, or signed in to anew for longer."""

    def close(self) -> None:
        """Gives back what was borrowed: connections, leases."""


def encode_go_json(value: Any) -> bytes:
    """A value as Go's `encoding/json` writes it: keys in order, no spaces, `<`, `>` and `&` escaped."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return "".join(GO_JSON_ESCAPES.get(sign, sign) for sign in text).encode("utf-8", "surrogatepass")


def compile_name_pattern(name: str) -> Any:
    """A name's pattern as Go reads it, unanchored.

    Raises:
        StoreError: it is none.
    """
    found = regexp.compile_pattern(name)
    if found is None:
        raise StoreError(f"`{name}` is no regular expression that Go takes")
    return found
