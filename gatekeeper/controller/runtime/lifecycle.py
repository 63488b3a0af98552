"""Start, HTTP endpoints (health and metrics) and graceful stop of the controller process."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from prometheus_client import generate_latest

from gatekeeper.controller.runtime.component import Component
from gatekeeper.controller.runtime.http_server import HttpRequest, HttpResponse, HttpServer, RequestHandler
from gatekeeper.controller.runtime.leader_election import LeaderElection
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.named_tuple import NamedTuple

# How long reconciles in progress may take after the signal to stop.
GRACE_SECONDS = 25.0


class ControllerProcess(NamedTuple):
    """Everything that runs in one controller process."""

    components: Sequence[Component]
    election: LeaderElection
    servers: Sequence[HttpServer]


def build_endpoints(components: Sequence[Component], metrics: Metrics) -> RequestHandler:
    """Build the handler of `/healthz`, `/readyz` and `/metrics`.

    A replica without a Lease is ready, too: answering HTTP requests needs none.
    """

    def handle(request: HttpRequest) -> HttpResponse | None:
        if request.path == "/healthz":
            is_healthy = all(component.is_alive for component in components)
            return HttpResponse(200, b"ok\n") if is_healthy else HttpResponse(503, b"a worker thread has died\n")
        if request.path == "/readyz":
            is_ready = all(component.is_synced for component in components)
            return HttpResponse(200, b"ok\n") if is_ready else HttpResponse(503, b"not all objects are listed yet\n")
        if request.path == "/metrics":
            return HttpResponse(200, generate_latest(metrics.registry), "text/plain; version=0.0.4; charset=utf-8")
        return None

    return handle


def run_until_stopped(controller: ControllerProcess, stop_event: threading.Event) -> int:
    """Run the controller until the event is set.

    Returns:
        The exit status.

    Raises:
        OSError: an address is in use.
    """
    for server in controller.servers:
        log_event("info", "listening", port=server.start())
    for component in controller.components:
        component.start()
    controller.election.start()
    log_event("info", "started")
    stop_event.wait()
    log_event("info", "stopping: waiting for the reconciles in progress")
    is_finished = [component.stop(GRACE_SECONDS) for component in controller.components]
    controller.election.stop()
    for server in controller.servers:
        server.stop()
    log_event("info", "stopped" if all(is_finished) else "stopped; a reconcile in progress did not finish in time")
    return 0
