"""`gatekeeper controller`: what is in Git comes into the cluster and stays so, for as long as it runs."""

from __future__ import annotations

import argparse
import gc
import ipaddress
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper import config
from gatekeeper.apply.model import Act
from gatekeeper.apply.prune_budget import Budget
from gatekeeper.cluster import client
from gatekeeper.cluster.dynamic_client import Objects
from gatekeeper.cluster.reflector import Name
from gatekeeper.controller.admission.background_scan import Scanner
from gatekeeper.controller.admission.certificates import Certificates
from gatekeeper.controller.admission.review import Admission
from gatekeeper.controller.admission.webhook import Webhook
from gatekeeper.controller.argocd import controller as argo_cd
from gatekeeper.controller.argocd.controller import Argo
from gatekeeper.controller.externalsecrets.controller import ExternalSecrets
from gatekeeper.controller.flux.controller import Flux, Options
from gatekeeper.controller.install.manifests import manifests
from gatekeeper.controller.install.rbac import Wanted
from gatekeeper.controller.runtime import audit_log, lifecycle, tracing
from gatekeeper.controller.runtime.audit_recorder import Recorder
from gatekeeper.controller.runtime.http_server import Part, Server
from gatekeeper.controller.runtime.leader_election import Election
from gatekeeper.controller.runtime.lifecycle import Program, Worker
from gatekeeper.controller.runtime.telemetry import Figures
from gatekeeper.controller.sealedsecrets.controller import SealedSecrets
from gatekeeper.controller.sealedsecrets.http_api import Networks, Service, api_servers
from gatekeeper.errors import UsageError
from gatekeeper.repositories.provenance import Credit
from gatekeeper.terminal import object_io

if TYPE_CHECKING:
    from lightkube import Client

EXAMPLES = """examples:
  gatekeeper controller run --kubeconfig ~/.kube/config
  gatekeeper controller run --kubeconfig ~/.kube/config --audit /var/lib/gatekeeper/audit.jsonl
  gatekeeper controller run                          in a Pod, with its ServiceAccount
  gatekeeper controller run --controllers flux,sealed,external
  gatekeeper controller run --controllers argo       Argo CD's Applications, in its place
  gatekeeper controller run --controllers admission --policies /policies
  gatekeeper controller manifests --controllers flux,sealed --image registry.example/gatekeeper@sha256:…
  gatekeeper controller run --shards 4               several replicas share the sources among them

It watches GitRepositories and Kustomizations, pulls what is new, judges it as `gatekeeper check` does, applies what
the gate accepts, heals what somebody else changes, and writes status and events. Several replicas divide the work by
Leases.
With `argo` it follows Argo CD's Applications, as their AppProjects let them; not beside Argo CD's own controller.
With `sealed` it opens SealedSecrets, too, and answers kubeseal; do not run it beside the sealed-secrets controller.
With `external` it fills Secrets from Vault, AWS and other clusters, as ExternalSecrets say; not beside their operator.
With `admission` it answers the API server by the policies of a repository, and reports on what is there already.
Over HTTP it answers /healthz, /readyz, /metrics, /hook/… for Flux's Receivers, and /api/webhook as Argo CD does.
`manifests` prints what a cluster needs for it, with no more rights than its parts use.
Exit status: 0 it was told to stop, 2 wrong usage, 3 the cluster does not answer at the start.
"""

NAME, HEAD = "gatekeeper", "gatekeeper-gitops.io/audit-head"
CONTROLLERS = FLUX, ARGO, SEALED, EXTERNAL, ADMISSION = ("flux", "argo", "sealed", "external", "admission")


def controller(arguments: list[str]) -> int:
    """Runs the command."""
    given = _parser().parse_args(arguments)
    if given.what == "manifests":
        return _manifests(given)
    # What ends soon does not collect; this goes on.
    gc.enable()
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    span, end = tracing.begin()
    try:
        with client.opened(given.kubeconfig, given.context) as opened, closing(Objects(opened)) as cluster:
            return lifecycle.run(_program(given, cluster, opened, Figures(span)), stop)
    finally:
        end()


def _manifests(given: argparse.Namespace) -> int:
    if not given.image:
        raise UsageError("controller manifests: give the image that you have built: --image REGISTRY/NAME@sha256:…")
    namespace = given.namespace or "gatekeeper-system"
    wanted = Wanted(
        namespace,
        given.image,
        given.controllers,
        given.replicas,
        fails_open=given.fail_open,
        argo=given.argo_namespace,
    )
    sys.stdout.write(object_io.written(manifests(wanted), "yaml"))
    return 0


def _program(given: argparse.Namespace, cluster: Objects, opened: Client, figures: Figures) -> Program:
    identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}-{os.getpid()}"
    namespace = given.namespace or os.environ.get("POD_NAMESPACE") or "default"
    workers: list[Worker] = []
    election = Election(cluster, namespace, NAME, identity, given.shards, figures, lambda: _all(workers))
    parts: list[Part] = []
    credits_: dict[str, Callable[[Name], Credit]] = {}
    note = _noting(given, election, credits_)
    if FLUX in given.controllers:
        flux = Flux(cluster, _options(given), election.holds, note, figures)
        credits_["Kustomization"] = flux.credit_of
        workers.append(flux)
        parts.append(flux.hook)
    if ARGO in given.controllers:
        argo = Argo(cluster, _argo_options(given), election.holds, note, figures)
        credits_["Application"] = argo.credit_of
        workers.append(argo)
        parts.append(argo.hook)
    if SEALED in given.controllers:
        sealed = SealedSecrets(cluster, namespace, given.key_renew_days, election.holds, figures)
        workers.append(sealed)
        asks = partial(_asks, given.proxy_from, cluster)
        parts.append(Service(sealed.keys, asks).answer)
    if EXTERNAL in given.controllers:
        rules = config.load(Path(), given.config).secrets_allow if given.config else ()
        workers.append(ExternalSecrets(cluster, opened, rules, election.holds, figures))
    servers = []
    if ADMISSION in given.controllers:
        admission, webhook = _admission(given, cluster, namespace, figures)
        workers.append(webhook)
        servers.append(webhook.server)
        if given.scan_every:
            workers.append(Scanner(cluster, lambda: admission.rules, given.scan_every, election.holds, figures))
    servers.append(Server(_address(given.listen), [lifecycle.health(workers, figures), *parts]))
    return Program(workers, election, figures, servers)


def _admission(
    given: argparse.Namespace, cluster: Objects, namespace: str, figures: Figures
) -> tuple[Admission, Webhook]:
    if given.policies is None or not given.policies.is_dir():
        raise UsageError("--controllers admission: give the repository with the policies: --policies DIR")
    admission = Admission(given.policies.resolve(), given.config, given.fail_open, figures)
    make = partial(Certificates, cluster, namespace, given.webhook_service, given.webhook_host, given.webhook_name)
    return admission, Webhook(admission, make, _address(given.webhook_listen), figures)


def _all(workers: list[Worker]) -> None:
    for worker in workers:
        worker.all()


def _asks(given: list[ipaddress.IPv4Network | ipaddress.IPv6Network], cluster: Objects) -> Networks:
    return given or api_servers(cluster)


def _options(given: argparse.Namespace) -> Options:
    return Options(
        Budget(given.most, given.share / 100),
        given.watch_label_selector,
        given.concurrent,
        given.config,
        given.storage_path,
    )


def _argo_options(given: argparse.Namespace) -> argo_cd.Options:
    own = _options(given)
    return argo_cd.Options(own.budget, given.argo_namespace, own.selector, own.workers, own.config_file, own.storage)


def _noting(
    given: argparse.Namespace, election: Election, credits_: Mapping[str, Callable[[Name], Credit]]
) -> Callable[[Act], None]:
    """What notes in the audit log what is done; nothing where there is none."""
    if not given.audit:
        return lambda act: None
    log = audit_log.Log(given.audit)
    election.marks = lambda: {HEAD: str(log.head)}
    return Recorder(log, credits_).note


def _controllers(text: str) -> tuple[str, ...]:
    found = tuple(text.split(","))
    if not set(found) <= set(CONTROLLERS):
        raise argparse.ArgumentTypeError(f"there are {', '.join(CONTROLLERS)}")
    return found


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
    options.add_argument("what", choices=("run", "manifests"))
    options.add_argument("--kubeconfig", type=Path, metavar="FILE", help="of the cluster (default: that of the Pod)")
    options.add_argument("--context", default="", help="of the kubeconfig (default: its current one)")
    options.add_argument("-n", "--namespace", default="", help="of the Leases (default: that of the Pod)")
    options.add_argument("--listen", default=":8080", metavar="HOST:PORT", help="health, figures and hooks (:8080)")
    options.add_argument("--shards", type=int, default=1, metavar="N", help="shares of the work, over replicas (1)")
    options.add_argument(
        "--watch-label-selector", default="", metavar="SELECTOR", help="of what is followed: sharding.fluxcd.io/key=a"
    )
    options.add_argument(
        "--concurrent", type=int, default=8, metavar="N", help="so many Kustomizations or Applications at a time (8)"
    )
    options.add_argument("--config", type=Path, metavar="FILE", help="judge by this, instead of each repository's own")
    options.add_argument("--storage-path", type=Path, metavar="DIR", help="keep commits here (~/.cache/gatekeeper)")
    options.add_argument("--audit", type=Path, metavar="FILE", help="write what is done into this log")
    options.add_argument(
        "--controllers", type=_controllers, default=(FLUX,), metavar="LIST", help=f"of {','.join(CONTROLLERS)} (flux)"
    )
    options.add_argument("--most", type=int, default=10, metavar="N", help="delete no more at once (10)")
    options.add_argument("--share", type=float, default=50.0, metavar="PERCENT", help="nor more of all objects (50)")
    options.add_argument("--image", default="", metavar="NAME", help="of manifests: what is run")
    options.add_argument("--replicas", type=int, default=2, metavar="N", help="of manifests (2)")
    _of_parts(options)
    return options


def _of_parts(options: argparse.ArgumentParser) -> None:
    """What is of one controller alone."""
    options.add_argument(
        "--key-renew-days",
        type=float,
        default=30.0,
        metavar="DAYS",
        help="of sealed: a new key so often (30; 0: never)",
    )
    options.add_argument(
        "--proxy-from", type=ipaddress.ip_network, action="append", default=[], metavar="CIDR",
        help="of sealed: where the API server asks from (default: its own addresses)",
    )  # fmt: skip
    options.add_argument(
        "--argo-namespace",
        default="argocd",
        metavar="NAME",
        help="of argo: where its projects and Secrets are (argocd)",
    )
    options.add_argument("--policies", type=Path, metavar="DIR", help="of admission: the repository to judge by")
    options.add_argument("--webhook-listen", default=":9443", metavar="HOST:PORT", help="of admission (:9443)")
    options.add_argument(
        "--webhook-service", default="gatekeeper-webhook", metavar="NAME", help="of admission (gatekeeper-webhook)"
    )
    options.add_argument(
        "--webhook-host", action="append", default=[], metavar="HOST", help="of admission: another name of the server"
    )
    options.add_argument(
        "--webhook-name",
        default=NAME,
        metavar="NAME",
        help="of admission: its ValidatingWebhookConfiguration (gatekeeper)",
    )
    options.add_argument("--fail-open", action="store_true", help="of admission: let pass what cannot be judged")
    options.add_argument(
        "--scan-every",
        type=float,
        default=3600.0,
        metavar="SECONDS",
        help="of admission: judge what is there (3600; 0: never)",
    )
