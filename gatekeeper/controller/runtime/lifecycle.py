"""The controller as a whole: a cluster, a share of the work, the parts that do it, and a graceful end."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from prometheus_client import generate_latest

from gatekeeper.controller.runtime.http_server import Answer, Part, Request, Server
from gatekeeper.controller.runtime.leader_election import Election
from gatekeeper.controller.runtime.telemetry import Figures, say

# What is worked on when it is told to stop has so many seconds to come to its end.
GRACE = 25.0


class Worker(Protocol):
    """A part of the controller."""

    @property
    def is_synced(self) -> bool:
        """Whether all that there is was seen once."""

    @property
    def is_alive(self) -> bool:
        """Whether all that works is there."""

    def start(self) -> None:
        """Begins to watch and to work."""

    def all(self) -> None:
        """Looks at everything: what was another's may be ours now."""

    def stop(self, seconds: float) -> bool:
        """Ends; whether what was worked on came to its end in time."""


class Program(NamedTuple):
    """What runs."""

    workers: Sequence[Worker]
    election: Election
    figures: Figures
    servers: Sequence[Server]


def health(workers: Sequence[Worker], figures: Figures) -> Part:
    """Answers how it is: whether it works, whether it has seen all, and the figures.

    Who does not lead is ready, too: whoever is asked over HTTP needs no lead for an answer.
    """

    def part(request: Request) -> Answer | None:
        if request.path == "/healthz":
            is_well = all(worker.is_alive for worker in workers)
            return Answer(200, b"ok\n") if is_well else Answer(503, b"a worker is gone\n")
        if request.path == "/readyz":
            is_ready = all(worker.is_synced for worker in workers)
            return Answer(200, b"ok\n") if is_ready else Answer(503, b"not everything is seen yet\n")
        if request.path == "/metrics":
            return Answer(200, generate_latest(figures.registry), "text/plain; version=0.0.4; charset=utf-8")
        return None

    return part


def run(program: Program, stop: threading.Event) -> int:
    """Works until it is told to stop; the status to exit with."""
    for server in program.servers:
        say("info", "listens", port=server.start())
    for worker in program.workers:
        worker.start()
    program.election.start()
    say("info", "started")
    stop.wait()
    say("info", "stops: what is worked on comes to its end")
    ended = [worker.stop(GRACE) for worker in program.workers]
    program.election.stop()
    for server in program.servers:
        server.stop()
    say("info", "stopped" if all(ended) else "stopped; what was worked on did not come to its end in time")
    return 0
