"""Worker threads of one controller: they process a queue, and retry failures with back-off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from gatekeeper.controller.runtime.log import describe_fault, log_event
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.workqueue import WorkQueue
from gatekeeper.errors import GatekeeperError

T = TypeVar("T")
# Reports a failure: the controller, the name of the object, the message, and the seconds until the next attempt.
FailureReporter = Callable[[str, str, str, float], None]


def log_failure(controller: str, name: str, message: str, delay: float) -> None:
    """Log a failed reconcile."""
    log_event("error", message, controller=controller, object=name, again=delay)


class Worker(Generic[T]):
    """The threads that reconcile one kind of object.

    Args:
        name: the controller's name in logs and metrics.
        handle: reconciles one name; returns the seconds until it is due again, or None to wait for a change.
        is_assigned: whether this replica is responsible for a name.
        report_failure: called after each failed attempt.
    """

    def __init__(
        self,
        name: str,
        handle: Callable[[T], float | None],
        thread_count: int,
        metrics: Metrics,
        is_assigned: Callable[[T], bool] = lambda name: True,
        *,
        report_failure: FailureReporter = log_failure,
    ) -> None:
        self._name, self._queue = name, WorkQueue[T]()
        self._handle, self._metrics, self._is_assigned = handle, metrics, is_assigned
        self._report_failure = report_failure
        self._threads = [
            threading.Thread(target=self._run, name=f"{name} {number}", daemon=True) for number in range(thread_count)
        ]
        metrics.queue_depth.labels(name).set_function(lambda: len(self._queue))

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def add(self, name: T, delay: float = 0.0) -> None:
        """Queue a name; see `WorkQueue.add`."""
        self._queue.add(name, delay)

    @property
    def is_alive(self) -> bool:
        """Whether every thread runs."""
        return all(thread.is_alive() for thread in self._threads)

    def stop(self, timeout_seconds: float) -> bool:
        """Stop accepting names, and wait for those in progress.

        Returns:
            Whether they finished in time.
        """
        self._queue.close()
        deadline = time.monotonic() + timeout_seconds
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while (name := self._queue.take()) is not None:
            try:
                if self._is_assigned(name):
                    self._process(name)
            finally:
                self._queue.mark_done(name)

    def _process(self, name: T) -> None:
        started_at = time.monotonic()
        try:
            with self._metrics.start_span(self._name, _format_name(name)):
                delay = self._handle(name)
            self._queue.forget_failures(name)
            result = "success"
        except GatekeeperError as error:
            delay, result = self._queue.next_backoff(name), "error"
            self._report_failure(self._name, _format_name(name), str(error), delay)
        except Exception as error:
            # An internal error with one object must not stop the work on all others.
            delay, result = self._queue.next_backoff(name), "fault"
            self._report_failure(self._name, _format_name(name), describe_fault(error), delay)
        self._metrics.reconciles.labels(self._name, result).inc()
        self._metrics.reconcile_seconds.labels(self._name).observe(time.monotonic() - started_at)
        if delay is not None:
            self._queue.add(name, delay)


def _format_name(name: object) -> str:
    return "/".join(map(str, name)) if type(name) is tuple else str(name)
