"""Stores that stay open from one reading to the next: signed in to once, and left alone for a while when they fail."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from gatekeeper.stores.protocol import Store, StoreError

Key = TypeVar("Key", bound=Hashable)
# Seconds; the same that external-secrets waits after a failure, from the first to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 420.0


class Pause(NamedTuple):
    """How often something has failed, and until when it is left alone: by `time.monotonic`."""

    times: int
    until: float


def pause(before: Pause | None, now: float) -> Pause:
    """The next pause, twice as long as the one before; a random part of it, so that not all come back at once."""
    times = before.times + 1 if before else 1
    most = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (times - 1))
    # This spreads load, and protects nothing.
    return Pause(times, now + random.uniform(most / 2, most))


class Kept(Generic[Key]):
    """Open stores, by key. What they are opened from may change: then they are opened anew.

    Args:
        open_: signs in to a store, given its key and what it is opened from.
    """

    def __init__(self, open_: Callable[[Key, Any], Store]) -> None:
        self._open = open_
        self._held: dict[Key, tuple[Any, Store]] = {}
        self._paused: dict[Key, tuple[Any, Pause, StoreError]] = {}

    def store(self, key: Key, source: Any) -> Store:
        """The store, signed in to.

        Raises:
            StoreError: it cannot be opened, or could not be reached a short while ago.
        """
        paused = self._paused.get(key)
        if paused and paused[0] == source and time.monotonic() < paused[1].until:
            raise paused[2]
        held = self._held.get(key)
        if held is not None:
            if held[0] == source and held[1].keep():
                return held[1]
            self._close(key)
        store = self._open(key, source)
        self._held[key] = (source, store)
        return store

    def learn(self, asked: Mapping[Key, Any], faults: Mapping[Key, StoreError]) -> None:
        """Notes which stores gave nothing: they are closed, to sign in anew, or left alone for a while."""
        for key, source in asked.items():
            fault = faults.get(key)
            if fault is None:
                self._paused.pop(key, None)
                continue
            self._close(key)
            if fault.may_pass and fault.is_whole:
                before = self._paused.get(key)
                self._paused[key] = (source, pause(before[1] if before else None, time.monotonic()), fault)

    def forget(self, key: Key) -> None:
        """Has a store opened anew, and at once: what it is signed in with is another."""
        self._paused.pop(key, None)
        self._close(key)

    def _close(self, key: Key) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            held[1].close()

    def close(self) -> None:
        """Closes all."""
        for key in list(self._held):
            self._close(key)
