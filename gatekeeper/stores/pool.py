"""Stores that stay open from one reading to the next: signed in to once, and left alone for a while when they fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from gatekeeper.host.backoff import BackoffPolicy
from gatekeeper.stores.protocol import Store, StoreError

KeyT = TypeVar("KeyT", bound=Hashable)
# Seconds; the same that external-secrets waits after a failure, from the first to the longest.
FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 1.0, 420.0
BACKOFF = BackoffPolicy(FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS, jitter=(0.5, 1.0))


class Backoff(NamedTuple):
    """How often something has failed, and until when it is left alone: by `time.monotonic`."""

    failures: int
    until: float


def next_backoff(previous: Backoff | None, now: float) -> Backoff:
    """The next pause, twice as long as the one before; a random part of it, so that not all come back at once."""
    times = previous.failures + 1 if previous else 1
    return Backoff(times, now + BACKOFF.compute_pause(times))


class StorePool(Generic[KeyT]):
    """Open stores, by key. What they are opened from may change: then they are opened anew.

    Args:
        open_: signs in to a store, given its key and what it is opened from.
    """

    def __init__(self, open_store: Callable[[KeyT, Any], Store]) -> None:
        self._open_store = open_store
        self._stores: dict[KeyT, tuple[Any, Store]] = {}
        self._backoffs: dict[KeyT, tuple[Any, Backoff, StoreError]] = {}

    def get_store(self, key: KeyT, source: Any) -> Store:
        """The store, signed in to.

        Raises:
            StoreError: it cannot be opened, or could not be reached a short while ago.
        """
        paused = self._backoffs.get(key)
        if paused and paused[0] == source and time.monotonic() < paused[1].until:
            raise paused[2]
        held = self._stores.get(key)
        if held is not None:
            if held[0] == source and held[1].renew_session():
                return held[1]
            self._close_store(key)
        store = self._open_store(key, source)
        self._stores[key] = (source, store)
        return store

    def record_faults(self, sources: Mapping[KeyT, Any], faults: Mapping[KeyT, StoreError]) -> None:
        """Notes which stores gave nothing: they are closed, to sign in anew, or left alone for a while."""
        for key, source in sources.items():
            fault = faults.get(key)
            if fault is None:
                self._backoffs.pop(key, None)
                continue
            self._close_store(key)
            if fault.is_transient and fault.is_store_wide:
                before = self._backoffs.get(key)
                self._backoffs[key] = (source, next_backoff(before[1] if before else None, time.monotonic()), fault)

    def forget(self, key: KeyT) -> None:
        """Has a store opened anew, and at once: what it is signed in with is another."""
        self._backoffs.pop(key, None)
        self._close_store(key)

    def _close_store(self, key: KeyT) -> None:
        held = self._stores.pop(key, None)
        if held is not None:
            held[1].close()

    def close(self) -> None:
        """Closes all."""
        for key in list(self._stores):
            self._close_store(key)
