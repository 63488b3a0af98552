"""`gatekeeper controller`: keeps a cluster in the state that Git declares, until it is stopped."""

from __future__ import annotations

import argparse
import gc
import ipaddress
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

from gatekeeper.apply.model import AuditEvent
from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.argocd import manifest_generation
from gatekeeper.cluster import client
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.controller.admission.background_scan import BackgroundScanner
from gatekeeper.controller.admission.certificates import WebhookCertificates, WebhookEndpoint
from gatekeeper.controller.admission.review import AdmissionReviewer
from gatekeeper.controller.admission.webhook import AdmissionWebhook
from gatekeeper.controller.argocd import controller as argo_cd
from gatekeeper.controller.argocd.controller import ArgoController
from gatekeeper.controller.externalsecrets.controller import ExternalSecretController
from gatekeeper.controller.flux.context import FluxOptions
from gatekeeper.controller.flux.controller import FluxController
from gatekeeper.controller.install.manifests import build_manifests
from gatekeeper.controller.install.rbac import APP_NAME, InstallOptions
from gatekeeper.controller.runtime import audit_log, lifecycle, tracing
from gatekeeper.controller.runtime.audit_recorder import AuditRecorder, ProvenanceLookup
from gatekeeper.controller.runtime.component import Component
from gatekeeper.controller.runtime.http_server import HttpServer, RequestHandler
from gatekeeper.controller.runtime.leader_election import LeaderElection, LeaseSettings
from gatekeeper.controller.runtime.lifecycle import ControllerProcess
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.controller.sealedsecrets.controller import SealedSecretController
from gatekeeper.controller.sealedsecrets.http_api import Networks, SealedSecretApi, list_api_server_networks
from gatekeeper.errors import UsageError
from gatekeeper.flux import build as flux_build
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.terminal import object_io
from gatekeeper.terminal.controller_options import build_parser
from gatekeeper.workspace import config_loader

LEASE_NAME, HEAD_ANNOTATION = "gatekeeper", "gatekeeper-gitops.io/audit-head"


def controller(arguments: list[str]) -> int:
    """Runs the command.

    Raises:
        UsageError: an option is missing or malformed.
        ToolError: the cluster does not respond at the start.
    """
    args = build_parser().parse_args(arguments)
    if args.what == "manifests":
        return _print_manifests(args)
    # What ends soon does not collect; this goes on.
    gc.enable()
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    span, end = tracing.start_tracing()
    try:
        with client.connect(args.kubeconfig, args.context) as cluster:
            return lifecycle.run_until_stopped(_build_program(args, cluster, Metrics(span)), stop)
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


class ControllerContext(NamedTuple):
    """What the controllers of one process share.

    Attributes:
        args: the options of the command line.
        namespace: the namespace of the controller's own objects.
        is_responsible_for: whether this replica may write for a queue key.
        record_event: writes to the audit log, if there is one.
    """

    args: argparse.Namespace
    cluster: DynamicClient
    namespace: str
    is_responsible_for: Callable[[str], bool]
    record_event: Callable[[AuditEvent], None]
    metrics: Metrics


class ControllerParts(NamedTuple):
    """What one controller adds to the process.

    Attributes:
        handlers: answer HTTP requests to the address of `--listen`.
        servers: further HTTP servers.
        provenance_by_kind: what finds the commit behind an event of the audit log, by the kind of the applier.
    """

    components: Sequence[Component]
    handlers: Sequence[RequestHandler] = ()
    servers: Sequence[HttpServer] = ()
    provenance_by_kind: Mapping[str, ProvenanceLookup] = MappingProxyType({})


def _build_program(args: argparse.Namespace, cluster: DynamicClient, metrics: Metrics) -> ControllerProcess:
    identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}-{os.getpid()}"
    namespace = args.namespace or os.environ.get("POD_NAMESPACE") or "default"
    components: list[Component] = []
    log = audit_log.AuditLog(args.audit) if args.audit else None
    election = LeaderElection(
        cluster,
        LeaseSettings(namespace, LEASE_NAME, identity, args.shards),
        metrics,
        lambda: _enqueue_all(components),
        lambda: {HEAD_ANNOTATION: str(log.head)} if log is not None else {},
    )
    provenance_by_kind: dict[str, ProvenanceLookup] = {}
    record = AuditRecorder(log, provenance_by_kind).record if log is not None else _discard_event
    context = ControllerContext(
        args=args,
        cluster=cluster,
        namespace=namespace,
        is_responsible_for=election.is_responsible_for,
        record_event=record,
        metrics=metrics,
    )
    parts = [build(context) for name, build in CONTROLLER_BUILDERS.items() if name in args.controllers]
    for part in parts:
        components.extend(part.components)
        provenance_by_kind.update(part.provenance_by_kind)
    health = lifecycle.build_endpoints(components, metrics)
    handlers = [health, *(handler for part in parts for handler in part.handlers)]
    servers = [*(server for part in parts for server in part.servers)]
    return ControllerProcess(components, election, [*servers, HttpServer(_parse_address(args.listen), handlers)])


def _build_flux(context: ControllerContext) -> ControllerParts:
    options = _build_flux_options(context.args)
    flux = FluxController(context.cluster, options, context.is_responsible_for, context.record_event, context.metrics)
    return ControllerParts(
        [flux.component], [flux.handle_webhook], provenance_by_kind={"Kustomization": flux.find_provenance}
    )


def _build_argo(context: ControllerContext) -> ControllerParts:
    options = _build_argo_options(context.args)
    argo = ArgoController(context.cluster, options, context.is_responsible_for, context.record_event, context.metrics)
    return ControllerParts(
        [argo.component], [argo.handle_webhook], provenance_by_kind={"Application": argo.find_provenance}
    )


def _build_sealed(context: ControllerContext) -> ControllerParts:
    sealed = SealedSecretController(
        context.cluster, context.namespace, context.args.key_renew_days, context.is_responsible_for, context.metrics
    )
    networks = partial(_resolve_networks, context.args.proxy_from, context.cluster)
    return ControllerParts([sealed.component], [SealedSecretApi(sealed.key_registry, networks).handle_request])


def _build_external(context: ControllerContext) -> ControllerParts:
    config_file = context.args.config
    rules = config_loader.load(Path(), config_file).secrets_allow if config_file else ()
    external = ExternalSecretController(context.cluster, rules, context.is_responsible_for, context.metrics)
    return ControllerParts([external.component])


def _build_admission(context: ControllerContext) -> ControllerParts:
    args = context.args
    if args.policies is None or not args.policies.is_dir():
        raise UsageError("--controllers admission: give the repository with the policies: --policies DIR")
    admission = AdmissionReviewer(args.policies.resolve(), args.config, args.fail_open, context.metrics)
    endpoint = WebhookEndpoint(context.namespace, args.webhook_service, args.webhook_name, args.webhook_host)
    create_certificates = partial(WebhookCertificates, context.cluster, endpoint)
    webhook = AdmissionWebhook(admission, create_certificates, _parse_address(args.webhook_listen), context.metrics)
    components = [webhook.component]
    if args.scan_every:
        scanner = BackgroundScanner(
            context.cluster, lambda: admission.policies, args.scan_every, context.is_responsible_for, context.metrics
        )
        components.append(scanner.component)
    return ControllerParts(components, servers=[webhook.server])


# How each controller is started, by the name that `--controllers` takes.
CONTROLLER_BUILDERS: dict[str, Callable[[ControllerContext], ControllerParts]] = {
    "flux": _build_flux,
    "argo": _build_argo,
    "sealed": _build_sealed,
    "external": _build_external,
    "admission": _build_admission,
}


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
        budget=PruneBudget(args.max_prune, args.max_prune_percent / 100),
        check=partial(flux_build.check_commit, config_file=args.config),
        label_selector=args.watch_label_selector,
        concurrency=args.concurrent,
        storage_dir=args.storage_path,
    )


def _build_argo_options(args: argparse.Namespace) -> argo_cd.ArgoOptions:
    return argo_cd.ArgoOptions(
        budget=PruneBudget(args.max_prune, args.max_prune_percent / 100),
        check=partial(manifest_generation.check_applications, config_file=args.config),
        argocd_namespace=args.argo_namespace,
        label_selector=args.watch_label_selector,
        concurrency=args.concurrent,
        storage_dir=args.storage_path,
    )


def _parse_address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdigit():
        raise UsageError(f"--listen {text}: write HOST:PORT")
    return host or "0.0.0.0", int(port)
