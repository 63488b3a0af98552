"""A queue of names with due times; each name is queued once and processed by one worker at a time.

Source: client-go `util/workqueue`; the back-off is Flux's.
"""

from __future__ import annotations

import heapq
import threading
import time
from typing import Generic, TypeVar

from gatekeeper.host.backoff import BackoffPolicy

FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 0.75, 900.0
BACKOFF = BackoffPolicy(FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS)
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
        """Queue a name; an earlier due time that it already has stays.

        Args:
            delay: seconds until the name is due.
        """
        due_at = time.monotonic() + max(0.0, delay)
        with self._condition:
            if self._is_closed or self._due.get(name, due_at + 1) <= due_at:
                return
            self._due[name] = due_at
            self._sequence += 1
            heapq.heappush(self._heap, (due_at, self._sequence, name))
            self._condition.notify()

    def take(self) -> T | None:
        """Wait for the next due name that no worker processes; None once the queue is closed."""
        with self._condition:
            while not self._is_closed:
                now = time.monotonic()
                while self._heap and self._heap[0][0] <= now:
                    due_at, _, name = heapq.heappop(self._heap)
                    if self._due.get(name) != due_at:
                        continue
                    del self._due[name]
                    if name in self._busy:
                        # The running reconcile may have read the object before it changed: run once more.
                        self._requeue.add(name)
                        continue
                    self._busy.add(name)
                    return name
                self._condition.wait(self._heap[0][0] - now if self._heap else None)
            return None

    def mark_done(self, name: T) -> None:
        """Release a name that `take` returned."""
        with self._condition:
            self._busy.discard(name)
            should_requeue = name in self._requeue
            self._requeue.discard(name)
        if should_requeue:
            self.add(name)

    def next_backoff(self, name: T) -> float:
        """Count one more failure of a name, and return the seconds to wait before the next attempt."""
        with self._condition:
            failures = self._failures[name] = self._failures.get(name, 0) + 1
        return BACKOFF.compute_pause(failures)

    def forget_failures(self, name: T) -> None:
        """Reset the back-off of a name."""
        with self._condition:
            self._failures.pop(name, None)

    def __len__(self) -> int:
        """Return how many names are due now."""
        with self._condition:
            now = time.monotonic()
            return sum(due_at <= now for due_at in self._due.values())

    def close(self) -> None:
        """Wake all waiting workers and stop accepting names."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
