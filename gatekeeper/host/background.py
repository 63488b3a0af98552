"""A call that runs in a thread of its own while the caller goes on, and a result that another thread gives.

`concurrent.futures` has the same, but loads `logging`: a hook would wait for that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class BackgroundCall(Generic[Result]):
    """Runs a function in a new thread, which does not keep the process alive."""

    def __init__(self, function: Callable[[], Result]) -> None:
        self._function = function
        self._results: list[Result] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._results.append(self._function())
        except BaseException as error:
            # Raised where the result is waited for.
            self._error = error

    def wait_for_result(self) -> Result:
        """Waits for the function, and returns its result.

        Raises:
            Exception: what the function raises.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._results[0]


class PendingResult(Generic[Result]):
    """A result that one thread waits for and another gives, once."""

    def __init__(self) -> None:
        self._is_there = threading.Event()
        self._results: list[Result] = []
        self._error: Exception | None = None

    def succeed(self, result: Result) -> None:
        """Gives the result."""
        self._results.append(result)
        self._is_there.set()

    def fail(self, error: Exception) -> None:
        """Gives an error instead of a result."""
        self._error = error
        self._is_there.set()

    def wait(self, seconds: float) -> Result:
        """Waits for the result.

        Raises:
            TimeoutError: the result is missing after that time.
            Exception: the error that was given instead.
        """
        if not self._is_there.wait(seconds):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._results[0]
