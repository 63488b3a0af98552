"""What is worked on, as traces of OpenTelemetry, where a collector is named for it; else nothing.

The standard variables name it: `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`. The package is an extra
(`gatekeeper-gitops[otel]`): most do without.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from gatekeeper.errors import UsageError

ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
SpanFactory = Callable[[str, str], AbstractContextManager[None]]


def start_tracing() -> tuple[SpanFactory, Callable[[], None]]:
    """What traces a piece of work, by its controller and object; and what sends the rest at the end.

    Raises:
        UsageError: a collector is named, and the package for it is not installed.
    """
    if not any(os.environ.get(name) for name in ENDPOINT_VARIABLES):
        return lambda controller, name: nullcontext(), lambda: None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise UsageError(f"{ENDPOINT_VARIABLES[0]} names a collector: install gatekeeper-gitops[otel]") from None
    name = os.environ.get("OTEL_SERVICE_NAME") or "gatekeeper"
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer = provider.get_tracer("gatekeeper.controller")

    @contextmanager
    def span(controller: str, name: str) -> Iterator[None]:
        # What an error says is not sent: it may be about anything.
        with tracer.start_as_current_span(
            f"reconcile {controller}",
            attributes={"k8s.controller": controller, "k8s.object": name},
            record_exception=False,
        ):
            yield

    return span, provider.shutdown
