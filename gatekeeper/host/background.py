"""A call that runs in a thread of its own while the caller goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class BackgroundCall(Generic[Result]):
    """Runs a function in a new thread, which does not keep the process alive.

    `concurrent.futures` does the same, but loads `logging`: a hook with a cached verdict would wait for that.
    """

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
