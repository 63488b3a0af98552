"""Workers: retries, faults, assignment to replicas, and stopping."""

from __future__ import annotations

import threading

import pytest

from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.worker import Worker
from gatekeeper.errors import ToolError


def test_an_internal_error_stops_no_worker_and_its_text_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    done, said = threading.Event(), list[str]()

    def work(name: str) -> None:
        if name == "bad" and not said:
            said.append(name)
            raise ValueError("hunter2")
        if name == "good":
            done.set()

    worker = Worker("test", work, 1, Metrics())
    worker.start()
    worker.add("bad")
    worker.add("good")
    assert done.wait(5) and worker.is_alive and worker.stop(5)
    logged = capsys.readouterr().out
    assert "internal error: ValueError at test_worker.py" in logged and "hunter2" not in logged


def test_a_name_of_another_replica_is_not_handled() -> None:
    handled, done = list[str](), threading.Event()

    def handle(name: str) -> None:
        handled.append(name)
        done.set()

    worker = Worker("test", handle, 1, Metrics(), lambda name: name != "theirs")
    worker.start()
    worker.add("theirs")
    worker.add("ours")
    assert done.wait(5) and worker.stop(5)
    assert handled == ["ours"]


def test_a_failed_name_is_retried_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    metrics, attempts, done = Metrics(), list[str](), threading.Event()

    def handle(name: str) -> None:
        attempts.append(name)
        if len(attempts) == 1:
            raise ToolError("the cluster does not answer")
        done.set()

    worker = Worker("test", handle, 1, metrics)
    worker.start()
    worker.add("a")
    assert done.wait(5) and worker.stop(5)
    count = metrics.registry.get_sample_value
    assert count("controller_runtime_reconcile_total", {"controller": "test", "result": "error"}) == 1
    assert "the cluster does not answer" in capsys.readouterr().out


def test_worker_that_does_not_finish_in_time_is_reported() -> None:
    begun, end = threading.Event(), threading.Event()

    def handle(name: str) -> None:
        begun.set()
        end.wait(10)

    worker = Worker("test", handle, 1, Metrics())
    worker.start()
    worker.add("a")
    assert begun.wait(5) and not worker.stop(0.05)
    end.set()
    assert worker.stop(5)
