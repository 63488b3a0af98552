"""`gatekeeper controller`: what is in Git comes into the cluster and stays so, for as long as it runs."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import socket
import threading
from contextlib import closing
from pathlib import Path

from gatekeeper import audit
from gatekeeper.cluster import client
from gatekeeper.cluster.objects import Objects
from gatekeeper.controller import program
from gatekeeper.controller.election import Election
from gatekeeper.controller.flux import Flux, Options
from gatekeeper.controller.program import Program
from gatekeeper.controller.recording import Recorder
from gatekeeper.controller.serving import Server
from gatekeeper.controller.speaking import Figures
from gatekeeper.errors import UsageError
from gatekeeper.reconciling.budget import Budget

EXAMPLES = """examples:
  gatekeeper controller run --kubeconfig ~/.kube/config
  gatekeeper controller run --kubeconfig ~/.kube/config --audit /var/lib/gatekeeper/audit.jsonl
  gatekeeper controller run                          in a Pod, with its ServiceAccount
  gatekeeper controller run --shards 4               several replicas share the sources among them

It watches GitRepositories and Kustomizations, pulls what is new, judges it as `gatekeeper check` does, applies what
the gate accepts, heals what somebody else changes, and writes status and events. Several replicas divide the work by
Leases.
Over HTTP it answers /healthz, /readyz, /metrics, and /hook/… for Flux's Receivers.
Exit status: 0 it was told to stop, 2 wrong usage, 3 the cluster does not answer at the start.
"""


def controller(arguments: list[str]) -> int:
    """Runs the command."""
    given = _parser().parse_args(arguments)
    # What ends soon does not collect; this goes on.
    gc.enable()
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    with client.opened(given.kubeconfig, given.context) as opened, closing(Objects(opened)) as cluster:
        return program.run(_program(given, cluster), stop)


def _program(given: argparse.Namespace, cluster: Objects) -> Program:
    figures = Figures()
    identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}-{os.getpid()}"
    namespace = given.namespace or os.environ.get("POD_NAMESPACE") or "default"
    log = audit.Log(given.audit) if given.audit else None
    election = Election(cluster, namespace, "gatekeeper", identity, given.shards, figures, lambda: flux.all())
    if log is not None:
        election.marks = lambda: {"gatekeeper-gitops.io/audit-head": str(log.head)}
    recorder = Recorder(log, lambda name: flux.author_of(name)) if log is not None else None
    budget = Budget(given.most, given.share / 100)
    options = Options(budget, given.watch_label_selector, given.concurrent, given.config)
    flux = Flux(cluster, options, election.holds, recorder.note if recorder else lambda act: None, figures)
    parts = [program.health([flux], figures), flux.hook]
    return Program([flux], election, figures, [Server(_address(given.listen), parts)])


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdigit():
        raise UsageError(f"--listen {text}: write HOST:PORT")
    return host or "0.0.0.0", int(port)


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="gatekeeper controller",
        description="Keep a cluster as Git says, if the gate accepts it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("what", choices=("run",))
    options.add_argument("--kubeconfig", type=Path, metavar="FILE", help="of the cluster (default: that of the Pod)")
    options.add_argument("--context", default="", help="of the kubeconfig (default: its current one)")
    options.add_argument("-n", "--namespace", default="", help="of the Leases (default: that of the Pod)")
    options.add_argument("--listen", default=":8080", metavar="HOST:PORT", help="health, figures and hooks (:8080)")
    options.add_argument("--shards", type=int, default=1, metavar="N", help="shares of the work, over replicas (1)")
    options.add_argument(
        "--watch-label-selector", default="", metavar="SELECTOR", help="of what is followed: sharding.fluxcd.io/key=a"
    )
    options.add_argument("--concurrent", type=int, default=8, metavar="N", help="so many Kustomizations at a time (8)")
    options.add_argument("--config", type=Path, metavar="FILE", help="judge by this, instead of each repository's own")
    options.add_argument("--audit", type=Path, metavar="FILE", help="write what is done into this log")
    options.add_argument("--most", type=int, default=10, metavar="N", help="delete no more at once (10)")
    options.add_argument("--share", type=float, default=50.0, metavar="PERCENT", help="nor more of all objects (50)")
    return options
