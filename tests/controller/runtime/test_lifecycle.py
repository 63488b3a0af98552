"""Health endpoints of the controller process."""

from __future__ import annotations

from gatekeeper.controller.runtime.component import Component
from gatekeeper.controller.runtime.http_server import HttpRequest
from gatekeeper.controller.runtime.lifecycle import build_endpoints
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.runtime.worker import Worker


def test_health_follows_the_worker_threads() -> None:
    component = Component([Worker[str]("test", lambda name: None, 1, Metrics())])
    handle = build_endpoints([component], Metrics())

    def status(path: str) -> int:
        response = handle(HttpRequest("GET", path, {}, b""))
        return response.status if response is not None else 0

    assert (status("/healthz"), status("/readyz"), status("/other")) == (503, 200, 0)
    component.start()
    assert status("/healthz") == 200
    component.stop(5)
    assert status("/healthz") == 503


def test_metrics_are_served_in_the_text_format_of_prometheus() -> None:
    metrics = Metrics()
    metrics.verdicts.labels("scan", "accepted").inc()
    response = build_endpoints([], metrics)(HttpRequest("GET", "/metrics", {}, b""))
    assert response is not None and response.content_type.startswith("text/plain; version=0.0.4")
    assert b'gatekeeper_verdicts_total{gate="scan",verdict="accepted"} 1.0' in response.body
