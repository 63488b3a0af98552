"""Workers over a queue: what fails is tried again, later each time, and a fault in one name stops no other."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from gatekeeper.controller.runtime.telemetry import Figures, say
from gatekeeper.controller.runtime.workqueue import Queue
from gatekeeper.errors import GateError

T = TypeVar("T")


class Loop(Generic[T]):
    """One kind of work.

    Args:
        name: of the controller, for people.
        work: does it for one name, and says in how many seconds it is due again; None when something happens.
        is_mine: whether this replica has to do it.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[T], float | None],
        workers: int,
        figures: Figures,
        is_mine: Callable[[T], bool] = lambda name: True,
    ) -> None:
        self.name, self.queue = name, Queue[T]()
        self._work, self._figures, self._is_mine = work, figures, is_mine
        self._threads = [
            threading.Thread(target=self._run, name=f"{name} {number}", daemon=True) for number in range(workers)
        ]
        figures.depth.labels(name).set_function(lambda: len(self.queue))

    def start(self) -> None:
        """Begins to work."""
        for thread in self._threads:
            thread.start()

    def add(self, name: T, after: float = 0.0) -> None:
        """See `Queue.add`."""
        self.queue.add(name, after)

    @property
    def is_alive(self) -> bool:
        """Whether all workers are there."""
        return all(thread.is_alive() for thread in self._threads)

    def stop(self, seconds: float) -> bool:
        """Takes nothing new, and waits for what is worked on; whether that was done in time."""
        self.queue.close()
        end = time.monotonic() + seconds
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while (name := self.queue.take()) is not None:
            try:
                if self._is_mine(name):
                    self._one(name)
            finally:
                self.queue.done(name)

    def _one(self, name: T) -> None:
        began = time.monotonic()
        try:
            with self._figures.span(self.name, _shown(name)):
                after = self._work(name)
            self.queue.forget(name)
            result = "success"
        except GateError as error:
            after, result = self.queue.pause(name), "error"
            say("error", str(error), controller=self.name, object=_shown(name), again=after)
        except Exception as error:
            # A fault of our own with one object must not end the work on all others. Of its words none is told.
            after, result = self.queue.pause(name), "fault"
            say("error", fault(error), controller=self.name, object=_shown(name), again=after)
        self._figures.reconciled.labels(self.name, result).inc()
        self._figures.seconds.labels(self.name).observe(time.monotonic() - began)
        if after is not None:
            self.queue.add(name, after)


def fault(error: Exception) -> str:
    """Where a fault of our own is, and of which kind."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append(f"{sys.intern(trace.tb_frame.f_code.co_filename).rpartition('/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"a fault of its own, {type(error).__name__} at {' < '.join(reversed(frames[-4:]))}"


def _shown(name: object) -> str:
    return "/".join(map(str, name)) if type(name) is tuple else str(name)
