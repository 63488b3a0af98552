"""A pool of open stores: each keeps its session between syncs, and a failing store is retried with back-off."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

from gatekeeper.host.backoff import BackoffPolicy
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.stores.protocol import Store, StoreError

KeyT = TypeVar("KeyT", bound=Hashable)
# The shortest and the longest pause after a failure, as in external-secrets.
FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 1.0, 420.0
BACKOFF = BackoffPolicy(FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS, jitter=(0.5, 1.0))


class Backoff(NamedTuple):
    """The number of failures in a row, and the time of the next attempt, by `time.monotonic`."""

    failures: int
    until: float


def next_backoff(previous: Backoff | None, now: float) -> Backoff:
    """Return the next pause: twice the previous one, with a random part so that attempts do not coincide.

    Args:
        now: the time of the failure, by `time.monotonic`.
    """
    failures = previous.failures + 1 if previous else 1
    return Backoff(failures, now + BACKOFF.compute_pause(failures))


class StorePool(Generic[KeyT]):
    """Open stores by key. A store is reopened when the definition it was opened from has changed.

    Args:
        open_store: opens a store, given its key and its definition.
    """

    def __init__(self, open_store: Callable[[KeyT, Any], Store]) -> None:
        self._open_store = open_store
        self._stores: dict[KeyT, tuple[Any, Store]] = {}
        self._backoffs: dict[KeyT, tuple[Any, Backoff, StoreError]] = {}

    def get_store(self, key: KeyT, definition: Any) -> Store:
        """Return the open store for a key.

        Args:
            definition: what the store is opened from; compared with `==`.

        Raises:
            StoreError: the store cannot be opened, or failed a short while ago.
        """
        if key in self._backoffs:
            failed_definition, backoff, error = self._backoffs[key]
            if failed_definition == definition and time.monotonic() < backoff.until:
                raise error
        if key in self._stores:
            opened_from, store = self._stores[key]
            if opened_from == definition and store.renew_session():
                return store
            self._close_store(key)
        store = self._open_store(key, definition)
        self._stores[key] = (definition, store)
        return store

    def record_faults(self, definitions: Mapping[KeyT, Any], faults: Mapping[KeyT, StoreError]) -> None:
        """Close the stores that failed; one that failed as a whole, and may recover, is not reopened for a while.

        Args:
            definitions: the definition of each store that was read.
            faults: the error of each store that gave nothing.
        """
        for key, definition in definitions.items():
            fault = faults.get(key)
            if fault is None:
                self._backoffs.pop(key, None)
                continue
            self._close_store(key)
            if fault.is_transient and fault.is_store_wide:
                previous = self._backoffs[key][1] if key in self._backoffs else None
                self._backoffs[key] = (definition, next_backoff(previous, time.monotonic()), fault)

    def forget(self, key: KeyT) -> None:
        """Reopen a store on its next use, without back-off: its credentials have changed."""
        self._backoffs.pop(key, None)
        self._close_store(key)

    def _close_store(self, key: KeyT) -> None:
        if key in self._stores:
            self._stores.pop(key)[1].close()

    def close(self) -> None:
        """Close all stores."""
        for key in list(self._stores):
            self._close_store(key)
