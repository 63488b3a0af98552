"""A queue of names that are to be worked on: each once, however often it was named, and by one worker at a time.

Source: client-go `util/workqueue`; the pauses are those of Flux.
"""

from __future__ import annotations

import heapq
import threading
import time
from typing import Generic, TypeVar

# Seconds that a name waits after its first failure, and at most.
FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 0.75, 900.0
T = TypeVar("T")


class WorkQueue(Generic[T]):
    """Names, and when each is due."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._due: dict[T, float] = {}
        self._heap: list[tuple[float, int, T]] = []
        self._sequence = 0
        self._busy: set[T] = set()
        self._requeue: set[T] = set()
        self._failures: dict[T, int] = {}
        self._is_closed = False

    def add(self, name: T, delay: float = 0.0) -> None:
        """Names what is to be worked on, in so many seconds; what is due earlier already stays so."""
        when = time.monotonic() + max(0.0, delay)
        with self._condition:
            if self._is_closed or self._due.get(name, when + 1) <= when:
                return
            self._due[name] = when
            self._sequence += 1
            heapq.heappush(self._heap, (when, self._sequence, name))
            self._condition.notify()

    def take(self) -> T | None:
        """The next that is due and that nobody works on, once there is one; None when the queue is closed."""
        with self._condition:
            while not self._is_closed:
                now = time.monotonic()
                while self._heap and self._heap[0][0] <= now:
                    when, _, name = heapq.heappop(self._heap)
                    if self._due.get(name) != when:
                        continue
                    del self._due[name]
                    if name in self._busy:
                        # Once more when it is done: what was seen then may have been too old.
                        self._requeue.add(name)
                        continue
                    self._busy.add(name)
                    return name
                self._condition.wait(self._heap[0][0] - now if self._heap else None)
            return None

    def mark_done(self, name: T) -> None:
        """Says that nobody works on a name any more."""
        with self._condition:
            self._busy.discard(name)
            again = name in self._requeue
            self._requeue.discard(name)
        if again:
            self.add(name)

    def next_backoff(self, name: T) -> float:
        """How many seconds a name that failed is left alone: longer each time."""
        with self._condition:
            times = self._failures.get(name, 0)
            self._failures[name] = times + 1
        return float(min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(times, 30)))

    def forget_failures(self, name: T) -> None:
        """Forgets the failures of a name."""
        with self._condition:
            self._failures.pop(name, None)

    def is_busy(self, name: T) -> bool:
        """Whether somebody works on a name now."""
        with self._condition:
            return name in self._busy

    def drop(self, name: T) -> None:
        """Takes a name out, and all that is known of it."""
        with self._condition:
            self._due.pop(name, None)
            self._requeue.discard(name)
            self._failures.pop(name, None)

    def __len__(self) -> int:
        """How many are due now."""
        with self._condition:
            now = time.monotonic()
            return sum(when <= now for when in self._due.values())

    @property
    def busy_count(self) -> int:
        """How many are worked on."""
        return len(self._busy)

    def close(self) -> None:
        """Lets nobody wait any longer."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
