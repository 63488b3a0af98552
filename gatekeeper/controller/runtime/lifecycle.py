"""The controller as a whole: a cluster, a share of the work, the parts that do it, and a graceful end."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from prometheus_client import generate_latest

from gatekeeper.controller.runtime.http_server import HttpRequest, HttpResponse, HttpServer, RequestHandler
from gatekeeper.controller.runtime.leader_election import LeaderElection
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.controller.runtime.metrics import Metrics

# What is worked on when it is told to stop has so many seconds to come to its end.
GRACE_SECONDS = 25.0


class Runnable(Protocol):
    """A part of the controller."""

    @property
    def is_synced(self) -> bool:
        """Whether all that there is was seen once."""

    @property
    def is_alive(self) -> bool:
        """Whether all that works is there."""

    def start(self) -> None:
        """Begins to watch and to work."""

    def enqueue_all(self) -> None:
        """Looks at everything: what was another's may be ours now."""

    def stop(self, timeout_seconds: float) -> bool:
        """Ends; whether what was worked on came to its end in time."""


class ControllerProcess(NamedTuple):
    """What runs."""

    components: Sequence[Runnable]
    election: LeaderElection
    metrics: Metrics
    servers: Sequence[HttpServer]


def build_health_handler(components: Sequence[Runnable], metrics: Metrics) -> RequestHandler:
    """Answers how it is: whether it works, whether it has seen all, and the figures.

    Who does not lead is ready, too: whoever is asked over HTTP needs no lead for an answer.
    """

    def part(request: HttpRequest) -> HttpResponse | None:
        if request.path == "/healthz":
            is_well = all(worker.is_alive for worker in components)
            return HttpResponse(200, b"ok\n") if is_well else HttpResponse(503, b"a worker is gone\n")
        if request.path == "/readyz":
            is_ready = all(worker.is_synced for worker in components)
            return HttpResponse(200, b"ok\n") if is_ready else HttpResponse(503, b"not everything is seen yet\n")
        if request.path == "/metrics":
            return HttpResponse(200, generate_latest(metrics.registry), "text/plain; version=0.0.4; charset=utf-8")
        return None

    return part


def run_until_stopped(controller: ControllerProcess, stop_event: threading.Event) -> int:
    """Works until it is told to stop; the status to exit with."""
    for server in controller.servers:
        log_event("info", "listens", port=server.start())
    for worker in controller.components:
        worker.start()
    controller.election.start()
    log_event("info", "started")
    stop_event.wait()
    log_event("info", "stops: what is worked on comes to its end")
    ended = [worker.stop(GRACE_SECONDS) for worker in controller.components]
    controller.election.stop()
    for server in controller.servers:
        server.stop()
    log_event("info", "stopped" if all(ended) else "stopped; what was worked on did not come to its end in time")
    return 0
