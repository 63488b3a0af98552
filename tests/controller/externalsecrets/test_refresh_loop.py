"""The loop that syncs ExternalSecrets."""

from __future__ import annotations

import threading

from gatekeeper.controller.externalsecrets.refresh_loop import CONTROLLER_NAME, ROUND_KEY, RefreshLoop
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.errors import ToolError


def test_rounds_follow_each_other_and_requests_are_batched() -> None:
    rounds, is_done = [0], threading.Event()

    def run_round() -> float:
        rounds[0] += 1
        if rounds[0] == 3:
            is_done.set()
        return 0.01 if rounds[0] < 3 else 600.0

    loop = RefreshLoop(run_round, Metrics())
    for _ in range(10):
        loop.request_round()
    loop.worker.start()
    assert is_done.wait(30) and loop.worker.stop(30) and rounds == [3]


def test_failure_is_reported_and_retried() -> None:
    failures: list[tuple[str, str, str, float]] = []
    is_done = threading.Event()

    def run_round() -> float:
        if failures:
            is_done.set()
            return 600.0
        raise ToolError("the cluster does not answer")

    loop = RefreshLoop(run_round, Metrics(), report_failure=lambda *failure: failures.append(failure))
    loop.request_round()
    loop.worker.start()
    assert is_done.wait(30) and loop.worker.stop(30)
    [(controller, name, message, delay)] = failures
    assert (controller, name, message) == (CONTROLLER_NAME, ROUND_KEY, "the cluster does not answer") and delay > 0


def test_unassigned_rounds_do_not_run() -> None:
    is_asked = threading.Event()

    def is_assigned(name: str) -> bool:
        is_asked.set()
        return False

    def run_round() -> float:
        raise AssertionError("must not run")

    loop = RefreshLoop(run_round, Metrics(), is_assigned)
    loop.request_round()
    loop.worker.start()
    assert is_asked.wait(30) and loop.worker.stop(30)
