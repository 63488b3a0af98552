"""The options of `gatekeeper controller` and its help text."""

from __future__ import annotations

import argparse
import ipaddress
import textwrap
from pathlib import Path

from gatekeeper.controller.install.rbac import APP_NAME, WEBHOOK_SERVICE
from gatekeeper.terminal.options import add_prune_options, create_parser

# Each controller, by the name that `--controllers` takes, and what it does.
CONTROLLERS = {
    "flux": "watches GitRepositories and Kustomizations, fetches new revisions, checks them as `gatekeeper check` "
    "does, applies what the checks accept, corrects drift, and writes status and events",
    "argo": "syncs Argo CD Applications within the limits of their AppProjects; "
    "replaces Argo CD's application controller",
    "sealed": "decrypts SealedSecrets and serves kubeseal; replaces the sealed-secrets controller",
    "external": "writes Secrets from Vault, AWS and other clusters for ExternalSecrets; "
    "replaces the External Secrets Operator",
    "admission": "answers admission requests by the policies of a repository, and reports on existing objects",
}
EXAMPLES = """examples:
  gatekeeper controller run --kubeconfig ~/.kube/config
  gatekeeper controller run --kubeconfig ~/.kube/config --audit /var/lib/gatekeeper/audit.jsonl
  gatekeeper controller run                          in a Pod, with its ServiceAccount
  gatekeeper controller run --controllers flux,sealed,external
  gatekeeper controller run --controllers argo       instead of Argo CD's application controller
  gatekeeper controller run --controllers admission --policies /policies
  gatekeeper controller manifests --controllers flux,sealed --image registry.example/gatekeeper@sha256:…
  gatekeeper controller run --shards 4               divide the sources among several replicas

{controllers}

Do not run a controller together with the one that it replaces. Replicas divide the work by Leases.
HTTP endpoints: /healthz, /readyz, /metrics, /hook/… (Flux Receivers), /api/webhook (as in Argo CD).
`manifests` prints the manifests to install it, with only the permissions that the chosen controllers use.
Exit status: 0 stopped by a signal, 2 wrong usage, 3 the cluster does not respond at the start.
"""


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the options."""
    parser = create_parser(
        "controller",
        "Keep a cluster in the state that Git declares, if the checks accept it.",
        EXAMPLES.format(controllers="\n".join(map(_format_description, CONTROLLERS))),
    )
    parser.add_argument("what", choices=("run", "manifests"))
    parser.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="kubeconfig of the cluster (default: that of the Pod)"
    )
    parser.add_argument("--context", default="", help="context of the kubeconfig (default: its current context)")
    parser.add_argument("-n", "--namespace", default="", help="namespace for the Leases (default: that of the Pod)")
    parser.add_argument(
        "--listen",
        default=":8080",
        metavar="HOST:PORT",
        help="address for health checks, metrics and webhooks (default: :8080)",
    )
    parser.add_argument(
        "--shards",
        type=int,
        default=1,
        metavar="N",
        help="number of shards that replicas divide the work into (default: 1)",
    )
    _add_reconcile_options(parser)
    add_prune_options(parser)
    parser.add_argument("--image", default="", metavar="NAME", help="with manifests: container image to run")
    parser.add_argument(
        "--replicas", type=int, default=2, metavar="N", help="with manifests: number of replicas (default: 2)"
    )
    _add_controller_options(parser)
    return parser


def _add_reconcile_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the controllers that apply objects, and the choice of controllers."""
    parser.add_argument(
        "--watch-label-selector",
        default="",
        metavar="SELECTOR",
        help="label selector of the objects to reconcile, e.g. sharding.fluxcd.io/key=a (default: all)",
    )
    parser.add_argument(
        "--concurrent",
        type=int,
        default=8,
        metavar="N",
        help="maximum number of Kustomizations or Applications reconciled at the same time (default: 8)",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="use this instead of the configuration of each repository"
    )
    parser.add_argument(
        "--storage-path", type=Path, metavar="DIR", help="folder for fetched commits (default: ~/.cache/gatekeeper)"
    )
    parser.add_argument("--audit", type=Path, metavar="FILE", help="file for the audit log (default: none)")
    parser.add_argument(
        "--controllers",
        type=_parse_controllers,
        default=("flux",),
        metavar="LIST",
        help=f"controllers to run, from {','.join(CONTROLLERS)} (default: flux)",
    )


def _add_controller_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that only one controller uses."""
    parser.add_argument(
        "--key-renew-days",
        type=float,
        default=30.0,
        metavar="DAYS",
        help="sealed: days between two key pairs (default: 30; 0: create no further key pair)",
    )
    parser.add_argument(
        "--proxy-from",
        type=ipaddress.ip_network,
        action="append",
        default=[],
        metavar="CIDR",
        help="sealed: CIDR from which kubeseal's --validate and --re-encrypt are accepted; can be repeated "
        "(default: the API server's addresses)",
    )
    parser.add_argument(
        "--argo-namespace",
        default="argocd",
        metavar="NAME",
        help="argo: namespace of the AppProjects and Secrets of Argo CD (default: argocd)",
    )
    _add_admission_options(parser)


def _add_admission_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--policies", type=Path, metavar="DIR", help="admission: repository with the policies and their configuration"
    )
    parser.add_argument(
        "--webhook-listen", default=":9443", metavar="HOST:PORT", help="admission: HTTPS address (default: :9443)"
    )
    parser.add_argument(
        "--webhook-service",
        default=WEBHOOK_SERVICE,
        metavar="NAME",
        help=f"admission: Service of the webhook (default: {WEBHOOK_SERVICE})",
    )
    parser.add_argument(
        "--webhook-host",
        action="append",
        default=[],
        metavar="HOST",
        help="admission: additional host name of the webhook; can be repeated",
    )
    parser.add_argument(
        "--webhook-name",
        default=APP_NAME,
        metavar="NAME",
        help=f"admission: name of the ValidatingWebhookConfiguration (default: {APP_NAME})",
    )
    parser.add_argument(
        "--fail-open", action="store_true", help="admission: allow requests that could not be checked (default: deny)"
    )
    parser.add_argument(
        "--scan-every",
        type=float,
        default=3600.0,
        metavar="SECONDS",
        help="admission: seconds between two scans of existing objects (default: 3600; 0: no scan)",
    )


def _format_description(name: str) -> str:
    """The lines about one controller in the help text."""
    return textwrap.fill(CONTROLLERS[name], 120, initial_indent=f"{name:<11}", subsequent_indent=" " * 11)


def _parse_controllers(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = sorted(set(names) - set(CONTROLLERS))
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown controller {', '.join(unknown)}; choose from {', '.join(CONTROLLERS)}"
        )
    return names
