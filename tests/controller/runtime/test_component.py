"""Components: their parts start and stop together."""

from __future__ import annotations

import threading

import pytest

from gatekeeper.controller.runtime.component import (
    Component,
    answer_push,
    extract_trigger_fields,
    report_watch_fault,
    strip_managed_fields,
)
from gatekeeper.controller.runtime.http_server import HttpRequest
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.worker import Worker


def test_workers_start_and_stop_and_resources_are_released_afterwards() -> None:
    handled, order = threading.Event(), list[str]()
    worker = Worker[str]("test", lambda name: handled.set(), 1, Metrics())
    component = Component(
        [worker], enqueue_all=lambda: worker.add("x"), on_stop=lambda: order.append(f"alive: {worker.is_alive}")
    )
    assert component.is_synced
    component.start()
    component.enqueue_all()
    assert handled.wait(5) and component.is_alive
    assert component.stop(5) and order == ["alive: False"]


def test_stop_says_whether_the_work_finished_in_time() -> None:
    begun, end = threading.Event(), threading.Event()

    def handle(name: str) -> None:
        begun.set()
        end.wait(10)

    worker = Worker[str]("test", handle, 1, Metrics())
    component = Component([worker])
    component.start()
    worker.add("x")
    assert begun.wait(5) and not component.stop(0.05)
    end.set()


def test_a_watch_fault_is_counted_and_logged(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = Metrics()
    report_watch_fault(metrics, "Secret", "forbidden")
    assert metrics.registry.get_sample_value("gatekeeper_watch_faults_total", {"kind": "Secret"}) == 1
    assert '"message":"forbidden"' in capsys.readouterr().out


def test_status_and_managed_fields_trigger_nothing() -> None:
    value = {"metadata": {"uid": "1", "generation": 1, "labels": {"a": "b"}}, "spec": {}}
    status = {**value, "status": {"x": 1}, "metadata": {**value["metadata"], "managedFields": [{}]}}
    assert extract_trigger_fields(value) == extract_trigger_fields(status)
    assert strip_managed_fields(status)["metadata"] == value["metadata"]
    for field in ("uid", "generation", "deletionTimestamp", "annotations", "labels"):
        changed = {**value, "metadata": {**value["metadata"], field: "changed"}}
        assert extract_trigger_fields(value) != extract_trigger_fields(changed)
    assert extract_trigger_fields(None) != extract_trigger_fields({"metadata": {}})


@pytest.mark.parametrize(
    ("method", "sources", "status", "body", "queued"),
    [
        ("GET", ["a"], 405, b"use POST\n", []),
        ("POST", None, 404, b"invalid signature\n", []),
        ("POST", [], 200, b"", []),
        ("POST", ["a", "b"], 200, b"", ["a", "b"]),
    ],
)
def test_a_push_refreshes_the_sources_that_an_authentic_call_names(
    method: str, sources: list[str] | None, status: int, body: bytes, queued: list[str]
) -> None:
    handled, is_done = list[str](), threading.Event()

    def handle(name: str) -> None:
        handled.append(name)
        if name == "last":
            is_done.set()

    worker = Worker[str]("test", handle, 1, Metrics())
    answer = answer_push(HttpRequest(method, "/hook", {}, b""), lambda call: sources, worker, "invalid signature")
    assert (answer.status, answer.body) == (status, body)
    worker.add("last")
    worker.start()
    assert is_done.wait(5) and worker.stop(5)
    assert handled == [*queued, "last"]
