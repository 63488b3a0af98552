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
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper import config
from gatekeeper.apply.model import AuditEvent
from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.cluster import client
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.controller.admission.background_scan import BackgroundScanner
from gatekeeper.controller.admission.certificates import WebhookCertificates, WebhookEndpoint
from gatekeeper.controller.admission.review import AdmissionReviewer
from gatekeeper.controller.admission.webhook import AdmissionWebhook
from gatekeeper.controller.argocd import controller as argo_cd
from gatekeeper.controller.argocd.controller import ArgoController
from gatekeeper.controller.externalsecrets.controller import ExternalSecretController
from gatekeeper.controller.flux.controller import FluxController, FluxOptions
from gatekeeper.controller.install.manifests import build_manifests
from gatekeeper.controller.install.rbac import APP_NAME, WEBHOOK_SERVICE, InstallOptions
from gatekeeper.controller.runtime import audit_log, lifecycle, tracing
from gatekeeper.controller.runtime.audit_recorder import AuditRecorder, ProvenanceLookup
from gatekeeper.controller.runtime.component import Component
from gatekeeper.controller.runtime.http_server import HttpServer, RequestHandler
from gatekeeper.controller.runtime.leader_election import LeaderElection
from gatekeeper.controller.runtime.lifecycle import ControllerProcess
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.sealedsecrets.controller import SealedSecretController
from gatekeeper.controller.sealedsecrets.http_api import Networks, SealedSecretApi, list_api_server_networks
from gatekeeper.errors import UsageError
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

LEASE_NAME, HEAD_ANNOTATION = "gatekeeper", "gatekeeper-gitops.io/audit-head"
CONTROLLERS = FLUX, ARGO, SEALED, EXTERNAL, ADMISSION = ("flux", "argo", "sealed", "external", "admission")


def controller(arguments: list[str]) -> int:
    """Runs the command."""
    given = _build_parser().parse_args(arguments)
    if given.what == "manifests":
        return _print_manifests(given)
    # What ends soon does not collect; this goes on.
    gc.enable()
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    span, end = tracing.start_tracing()
    try:
        with client.open_client(given.kubeconfig, given.context) as opened, closing(DynamicClient(opened)) as cluster:
            return lifecycle.run_until_stopped(_build_program(given, cluster, opened, Metrics(span)), stop)
    finally:
        end()


def _print_manifests(args: argparse.Namespace) -> int:
    if not args.image:
        raise UsageError("controller manifests: give the image that you have built: --image REGISTRY/NAME@sha256:…")
    namespace = args.namespace or APP_NAME
    wanted = InstallOptions(
        namespace,
        args.image,
        args.controllers,
        args.replicas,
        is_fail_open=args.fail_open,
        argocd_namespace=args.argo_namespace,
    )
    sys.stdout.write(object_io.format_objects(build_manifests(wanted), "yaml"))
    return 0


def _build_program(
    args: argparse.Namespace, cluster: DynamicClient, kube_client: Client, metrics: Metrics
) -> ControllerProcess:
    identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}-{os.getpid()}"
    namespace = args.namespace or os.environ.get("POD_NAMESPACE") or "default"
    components: list[Component] = []
    log = audit_log.AuditLog(args.audit) if args.audit else None
    election = LeaderElection(
        cluster,
        namespace,
        LEASE_NAME,
        identity,
        args.shards,
        metrics,
        lambda: _enqueue_all(components),
        lambda: {HEAD_ANNOTATION: str(log.head)} if log is not None else {},
    )
    parts: list[RequestHandler] = []
    provenance_by_kind: dict[str, ProvenanceLookup] = {}
    note = AuditRecorder(log, provenance_by_kind).record if log is not None else _discard_event
    if FLUX in args.controllers:
        flux = FluxController(cluster, _build_flux_options(args), election.is_responsible_for, note, metrics)
        provenance_by_kind["Kustomization"] = flux.find_provenance
        components.append(flux.component)
        parts.append(flux.handle_webhook)
    if ARGO in args.controllers:
        argo = ArgoController(cluster, _build_argo_options(args), election.is_responsible_for, note, metrics)
        provenance_by_kind["Application"] = argo.find_provenance
        components.append(argo.component)
        parts.append(argo.handle_webhook)
    if SEALED in args.controllers:
        sealed = SealedSecretController(cluster, namespace, args.key_renew_days, election.is_responsible_for, metrics)
        components.append(sealed.component)
        asks = partial(_resolve_networks, args.proxy_from, cluster)
        parts.append(SealedSecretApi(sealed.key_registry, asks).handle_request)
    if EXTERNAL in args.controllers:
        rules = config.load(Path(), args.config).secrets_allow if args.config else ()
        external = ExternalSecretController(cluster, kube_client, rules, election.is_responsible_for, metrics)
        components.append(external.component)
    servers = []
    if ADMISSION in args.controllers:
        admission, webhook = _build_admission(args, cluster, namespace, metrics)
        components.append(webhook.component)
        servers.append(webhook.server)
        if args.scan_every:
            scanner = BackgroundScanner(
                cluster, lambda: admission.policies, args.scan_every, election.is_responsible_for, metrics
            )
            components.append(scanner.component)
    servers.append(
        HttpServer(_parse_address(args.listen), [lifecycle.build_health_handler(components, metrics), *parts])
    )
    return ControllerProcess(components, election, servers)


def _build_admission(
    args: argparse.Namespace, cluster: DynamicClient, namespace: str, metrics: Metrics
) -> tuple[AdmissionReviewer, AdmissionWebhook]:
    if args.policies is None or not args.policies.is_dir():
        raise UsageError("--controllers admission: give the repository with the policies: --policies DIR")
    admission = AdmissionReviewer(args.policies.resolve(), args.config, args.fail_open, metrics)
    endpoint = WebhookEndpoint(namespace, args.webhook_service, args.webhook_name, args.webhook_host)
    create_certificates = partial(WebhookCertificates, cluster, endpoint)
    return admission, AdmissionWebhook(admission, create_certificates, _parse_address(args.webhook_listen), metrics)


def _enqueue_all(components: list[Component]) -> None:
    for component in components:
        component.enqueue_all()


def _discard_event(event: AuditEvent) -> None:
    """Record nothing: there is no audit log."""


def _resolve_networks(
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network], cluster: DynamicClient
) -> Networks:
    return networks or list_api_server_networks(cluster)


def _build_flux_options(args: argparse.Namespace) -> FluxOptions:
    return FluxOptions(
        PruneBudget(args.most, args.share / 100),
        args.watch_label_selector,
        args.concurrent,
        args.config,
        args.storage_path,
    )


def _build_argo_options(args: argparse.Namespace) -> argo_cd.ArgoOptions:
    own = _build_flux_options(args)
    return argo_cd.ArgoOptions(
        own.budget, args.argo_namespace, own.label_selector, own.concurrency, own.config_file, own.storage_dir
    )


def _parse_controllers(text: str) -> tuple[str, ...]:
    found = tuple(text.split(","))
    if not set(found) <= set(CONTROLLERS):
        raise argparse.ArgumentTypeError(f"there are {', '.join(CONTROLLERS)}")
    return found


def _parse_address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdigit():
        raise UsageError(f"--listen {text}: write HOST:PORT")
    return host or "0.0.0.0", int(port)


def _build_parser() -> argparse.ArgumentParser:
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
        "--controllers",
        type=_parse_controllers,
        default=(FLUX,),
        metavar="LIST",
        help=f"of {','.join(CONTROLLERS)} (flux)",
    )
    options.add_argument("--most", type=int, default=10, metavar="N", help="delete no more at once (10)")
    options.add_argument("--share", type=float, default=50.0, metavar="PERCENT", help="nor more of all objects (50)")
    options.add_argument("--image", default="", metavar="NAME", help="of manifests: what is run")
    options.add_argument("--replicas", type=int, default=2, metavar="N", help="of manifests (2)")
    _add_controller_options(options)
    return options


def _add_controller_options(parser: argparse.ArgumentParser) -> None:
    """What is of one controller alone."""
    parser.add_argument(
        "--key-renew-days",
        type=float,
        default=30.0,
        metavar="DAYS",
        help="of sealed: a new key so often (30; 0: never)",
    )
    parser.add_argument(
        "--proxy-from",
        type=ipaddress.ip_network,
        action="append",
        default=[],
        metavar="CIDR",
        help="of sealed: where the API server asks from (default: its own addresses)",
    )
    parser.add_argument(
        "--argo-namespace",
        default="argocd",
        metavar="NAME",
        help="of argo: where its projects and Secrets are (argocd)",
    )
    parser.add_argument("--policies", type=Path, metavar="DIR", help="of admission: the repository to judge by")
    parser.add_argument("--webhook-listen", default=":9443", metavar="HOST:PORT", help="of admission (:9443)")
    parser.add_argument(
        "--webhook-service", default=WEBHOOK_SERVICE, metavar="NAME", help=f"of admission ({WEBHOOK_SERVICE})"
    )
    parser.add_argument(
        "--webhook-host", action="append", default=[], metavar="HOST", help="of admission: another name of the server"
    )
    parser.add_argument(
        "--webhook-name",
        default=APP_NAME,
        metavar="NAME",
        help=f"of admission: its ValidatingWebhookConfiguration ({APP_NAME})",
    )
    parser.add_argument("--fail-open", action="store_true", help="of admission: let pass what cannot be judged")
    parser.add_argument(
        "--scan-every",
        type=float,
        default=3600.0,
        metavar="SECONDS",
        help="of admission: judge what is there (3600; 0: never)",
    )
