"""Reconciles are reported to an OpenTelemetry collector, if one is configured; a local collector reads them."""

from __future__ import annotations

import gzip
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gatekeeper.controller.runtime import tracing
from gatekeeper.errors import UsageError
from tests.controller.deployment import controller, until
from tests.controller.flux.test_controller import KUSTOMIZATIONS, REPOSITORIES, Place, cluster, place
from tests.flux.test_reconciler import config, flux

__all__ = ["cluster", "place"]


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """The spans that came: their names, and what they are about."""
    spans: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            """Log nothing."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            for part in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in part.scope_spans:
                    for span in scope.spans:
                        about = {one.key: one.value.string_value for one in span.attributes}
                        spans.append((span.name, about["k8s.object"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield spans
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_reconcile_is_a_span_with_its_controller_and_object(
    place: Place, tmp_path: Path, sink: list[tuple[str, str]]
) -> None:
    place.put("apps/all.yaml", config("x"))
    with controller(place.cluster, tmp_path) as running:
        place.cluster.make(REPOSITORIES, place.source)
        place.cluster.make(KUSTOMIZATIONS, flux())
        until(lambda: place.ready()[0] == "True", running)
        # What is left is sent at the end.
        assert running.stop() == 0
    assert ("reconcile GitRepository", "flux-system/r") in sink
    assert ("reconcile Kustomization", "flux-system/apps") in sink


def test_a_configured_collector_needs_the_extra_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(UsageError, match=r"gatekeeper-gitops\[otel\]"):
        tracing.start_tracing()


def test_without_a_collector_nothing_is_imported_or_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tracing.ENDPOINT_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    # With None as the module, an import of it fails.
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    span, end = tracing.start_tracing()
    steps = []
    with span("a", "b"):
        steps.append("reconciled")
    end()
    assert steps == ["reconciled"]
