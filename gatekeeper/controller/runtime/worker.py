"""Workers over a queue: what fails is tried again, later each time, and a fault in one name stops no other."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from gatekeeper.controller.runtime.log import log_event
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.workqueue import WorkQueue
from gatekeeper.errors import GateError

T = TypeVar("T")


class Worker(Generic[T]):
    """One kind of work.

    Args:
        name: of the controller, for people.
        work: does it for one name, and says in how many seconds it is due again; None when something happens.
        is_mine: whether this replica has to do it.
    """

    def __init__(
        self,
        name: str,
        handle: Callable[[T], float | None],
        thread_count: int,
        metrics: Metrics,
        is_assigned: Callable[[T], bool] = lambda name: True,
    ) -> None:
        self.name, self.queue = name, WorkQueue[T]()
        self._handle, self._metrics, self._is_assigned = handle, metrics, is_assigned
        self._threads = [
            threading.Thread(target=self._run, name=f"{name} {number}", daemon=True) for number in range(thread_count)
        ]
        metrics.queue_depth.labels(name).set_function(lambda: len(self.queue))

    def start(self) -> None:
        """Begins to work."""
        for thread in self._threads:
            thread.start()

    def add(self, name: T, delay: float = 0.0) -> None:
        """See `Queue.add`."""
        self.queue.add(name, delay)

    @property
    def is_alive(self) -> bool:
        """Whether all workers are there."""
        return all(thread.is_alive() for thread in self._threads)

    def stop(self, timeout_seconds: float) -> bool:
        """Takes nothing new, and waits for what is worked on; whether that was done in time."""
        self.queue.close()
        end = time.monotonic() + timeout_seconds
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while (name := self.queue.take()) is not None:
            try:
                if self._is_assigned(name):
                    self._process(name)
            finally:
                self.queue.mark_done(name)

    def _process(self, name: T) -> None:
        began = time.monotonic()
        try:
            with self._metrics.start_span(self.name, _format_name(name)):
                after = self._handle(name)
            self.queue.forget_failures(name)
            result = "success"
        except GateError as error:
            after, result = self.queue.next_backoff(name), "error"
            log_event("error", str(error), controller=self.name, object=_format_name(name), again=after)
        except Exception as error:
            # A fault of our own with one object must not end the work on all others. Of its words none is told.
            after, result = self.queue.next_backoff(name), "fault"
            log_event("error", describe_fault(error), controller=self.name, object=_format_name(name), again=after)
        self._metrics.reconciles.labels(self.name, result).inc()
        self._metrics.reconcile_seconds.labels(self.name).observe(time.monotonic() - began)
        if after is not None:
            self.queue.add(name, after)


def describe_fault(error: Exception) -> str:
    """Where a fault of our own is, and of which kind."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append(f"{sys.intern(trace.tb_frame.f_code.co_filename).rpartition('/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"a fault of its own, {type(error).__name__} at {' < '.join(reversed(frames[-4:]))}"


def _format_name(name: object) -> str:
    return "/".join(map(str, name)) if type(name) is tuple else str(name)
