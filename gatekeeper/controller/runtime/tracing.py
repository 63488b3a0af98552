"""OpenTelemetry traces of reconciles; off unless a collector is configured.

The standard variables configure it: `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`. The package is an extra
(`gatekeeper-gitops[otel]`), because most installations do not need it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from gatekeeper.errors import UsageError

ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
SpanFactory = Callable[[str, str], AbstractContextManager[None]]


def start_tracing() -> tuple[SpanFactory, Callable[[], None]]:
    """Connect to the collector, if one is configured.

    Returns:
        What opens a span, by controller and object; and what flushes the remaining spans at the end.

    Raises:
        UsageError: a collector is configured, but the package is not installed.
    """
    if not any(os.environ.get(name) for name in ENDPOINT_VARIABLES):
        return lambda controller, name: nullcontext(), lambda: None
    try:
        # Imported here: OpenTelemetry is an optional dependency.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise UsageError(
            f"{ENDPOINT_VARIABLES[0]} is set, but OpenTelemetry is not installed: install gatekeeper-gitops[otel]"
        ) from None
    service_name = os.environ.get("OTEL_SERVICE_NAME") or "gatekeeper"
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service_name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer = provider.get_tracer("gatekeeper.controller")

    @contextmanager
    def start_span(controller: str, name: str) -> Iterator[None]:
        # The text of an exception is not sent: it may hold anything.
        with tracer.start_as_current_span(
            f"reconcile {controller}",
            attributes={"k8s.controller": controller, "k8s.object": name},
            record_exception=False,
        ):
            yield

    return start_span, provider.shutdown
