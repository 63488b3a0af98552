"""`gatekeeper sync`: reads the secrets of ExternalSecrets from stores and writes them to a cluster, or seals them."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from gatekeeper.cluster import client
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.controller.externalsecrets.refresh_loop import RefreshLoop
from gatekeeper.controller.runtime import lifecycle
from gatekeeper.controller.runtime.component import Component
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.errors import UsageError
from gatekeeper.externalsecrets import cluster_objects, collection, fetch_plan, repository_scan
from gatekeeper.externalsecrets.collection import DesiredSecrets, InputObject, KnownNamespaces, RefusedObject
from gatekeeper.externalsecrets.fetch_plan import StoreKey
from gatekeeper.externalsecrets.scheduler import RefreshScheduler, SyncInput, open_store
from gatekeeper.model import name_of
from gatekeeper.stores.directory import DirectoryStore
from gatekeeper.stores.protocol import Store
from gatekeeper.terminal import sync_output
from gatekeeper.terminal.options import create_parser
from gatekeeper.terminal.progress import show_progress
from gatekeeper.workspace import config_loader

EXAMPLES = """examples:
  gatekeeper sync --plan clusters/prod
  gatekeeper sync --plan --budget 20 clusters/prod       in CI, before a change raises the costs
  gatekeeper sync --dry-run --directory vault-backend=dev-secrets .
  gatekeeper sync --dry-run --kubeconfig ~/.kube/config clusters/prod
  gatekeeper sync --explain prod/db --kubeconfig ~/.kube/config clusters/prod
  gatekeeper sync --once --seal keys/prod.pem --to clusters/prod/secrets clusters/prod
  gatekeeper sync --once --kubeconfig ~/.kube/config clusters/prod
  gatekeeper sync --once --kubeconfig ~/.kube/config --from-cluster
  gatekeeper sync --watch --kubeconfig ~/.kube/config --from-cluster

`--plan` lists the secrets that would be read, and reads none. `--dry-run` reads them and prints each key with a digest
that is valid for this run only. `--once` writes the Secrets to the cluster. `--from-cluster` takes ExternalSecrets and
stores from the cluster: it reads only secrets whose refresh interval has passed, and writes status and events.
`--watch` continues until it is stopped: it reads each secret once per refresh interval and signs in to each store once.
Gatekeeper signs in to a store with the credentials that the store references, from the cluster; without a cluster with
your own (VAULT_TOKEN). Values are never printed.
Exit status: 0 success, 1 an ExternalSecret failed or waits, 2 wrong usage, 3 the cluster does not respond.
"""


PROGRESS_DELAY_SECONDS = 2.0


def sync(arguments: list[str]) -> int:
    """Runs the command."""
    args = _build_parser().parse_args(arguments)
    _validate_options(args)
    with client.connect(args.kubeconfig, args.context) if args.kubeconfig else nullcontext() as cluster:
        if args.plan:
            return _print_plan(args, _collect_input(args, cluster).desired)
        with closing(RefreshScheduler(partial(_open_store, args, cluster))) as scheduler:
            if args.watch and cluster is not None:
                return _run_watch(args, scheduler, cluster)
            with show_progress("searching ExternalSecrets", PROGRESS_DELAY_SECONDS):
                sync_input = _collect_input(args, cluster)
            _print_refused(sync_input.desired.refusals)
            return max(_run_round(args, scheduler, cluster, sync_input), 1 if sync_input.desired.refusals else 0)


def _print_plan(args: argparse.Namespace, collected: DesiredSecrets) -> int:
    _print_refused(collected.refusals)
    dollars = sync_output.print_plan(fetch_plan.build_plan(collected.specs), collected)
    if args.budget is not None and dollars > args.budget:
        sys.stdout.write(f"refused: ${dollars:.2f} per month exceeds the budget of ${args.budget:.2f}\n")
        return 1
    return 1 if collected.refusals else 0


def _print_refused(refused: Sequence[RefusedObject]) -> None:
    for refusal in refused:
        sys.stdout.write(f"FAILED    {refusal}\n")


def _validate_options(args: argparse.Namespace) -> None:
    """Raises UsageError for options that exclude or require each other."""
    args.directory = dict(map(_parse_directory, args.directory))
    if args.once and not args.kubeconfig and not args.seal:
        raise UsageError("sync --once needs a target; add --kubeconfig FILE, or --seal CERT and --to DIR")
    if bool(args.seal) != bool(args.to) or (args.seal and not args.once):
        raise UsageError("--once, --seal CERT and --to DIR are only valid together")
    if (args.from_cluster or args.watch) and not args.kubeconfig:
        raise UsageError(
            f"sync {'--watch' if args.watch else '--from-cluster'}: needs a cluster; add --kubeconfig FILE"
        )


def _collect_input(args: argparse.Namespace, cluster: DynamicClient | None) -> SyncInput:
    """Collects the ExternalSecrets of the repository, or of the cluster."""
    if cluster is None:
        return SyncInput(repository_scan.scan_repository(args.path, args.namespace, KnownNamespaces({}, False)))
    labels = cluster_objects.list_namespaces(cluster)
    namespaces = KnownNamespaces(labels or {}, labels is not None)
    if not args.from_cluster:
        return SyncInput(repository_scan.scan_repository(args.path, args.namespace, namespaces))
    values = list(cluster_objects.list_objects(cluster))
    rules = config_loader.load(config_loader.find_root(args.path.resolve()), None).secrets_allow
    objects = (InputObject(value, value["metadata"].get("namespace") or "") for value in values)
    external_secrets = {name_of(value): value for value in values if value["kind"] == "ExternalSecret"}
    return SyncInput(collection.collect_desired_secrets(objects, namespaces, rules), external_secrets)


def _run_round(
    args: argparse.Namespace, scheduler: RefreshScheduler, cluster: DynamicClient | None, sync_input: SyncInput
) -> int:
    """Runs one sync, prints its result, and returns the exit status."""
    count = len(sync_input.desired.specs)
    is_written = bool(args.watch or (args.once and not args.seal))
    with show_progress(f"fetching for {count} ExternalSecrets", PROGRESS_DELAY_SECONDS):
        result = scheduler.run_round(cluster, sync_input, is_written, args.force or not is_written)
    if args.watch:
        _print_refused(result.new_refusals)
    if args.explain:
        return sync_output.print_explanation(args.explain, result.decisions, result.fetched)
    if args.seal:
        status = max(
            [sync_output.write_sealed_secret(decision, args.seal, args.to) for decision in result.decisions], default=0
        )
    else:
        printed = [decision for decision in result.decisions if not args.watch or decision.action != "unchanged"]
        status = max([sync_output.print_decision(decision, is_written) for decision in printed], default=0)
    if len(result.decisions) < count and not args.watch:
        late = count - len(result.decisions)
        sys.stdout.write(f"{late} ExternalSecrets are not due yet (--force reads them all)\n")
    for key, calls in sorted(result.fetched.request_counts.items()):
        sys.stdout.write(f"{key}: {calls} requests for {result.plan[key].reference_count} references\n")
    sys.stdout.flush()
    return status


def _run_watch(args: argparse.Namespace, scheduler: RefreshScheduler, cluster: DynamicClient) -> int:
    """Runs the controller's loop until a signal arrives; a failed sync is retried with back-off."""
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())

    def run_round() -> float:
        _run_round(args, scheduler, cluster, _collect_input(args, cluster))
        return scheduler.compute_wait(args.interval)

    loop = RefreshLoop(run_round, Metrics(), report_failure=_print_failure)
    component = Component([loop.worker])
    loop.request_round()
    component.start()
    stop.wait()
    component.stop(lifecycle.GRACE_SECONDS)
    return 0


def _print_failure(controller: str, name: str, message: str, delay: float) -> None:
    sys.stdout.write(f"FAILED    {message}\n")
    sys.stdout.flush()


def _build_parser() -> argparse.ArgumentParser:
    parser = create_parser(
        "sync", "Read the secrets of ExternalSecrets, each one once, and write the Secrets to a cluster.", EXAMPLES
    )
    parser.add_argument(
        "path", nargs="?", type=Path, default=Path(), metavar="PATH", help="a folder (default: the current folder)"
    )
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--plan", action="store_true", help="list the secrets that would be read; read none")
    mode.add_argument("--dry-run", action="store_true", help="read the secrets, and show what would be written")
    mode.add_argument(
        "--explain", metavar="NAME", help="read the secrets, and show the source of each value of one ExternalSecret"
    )
    mode.add_argument("--once", action="store_true", help="read and write once, then exit")
    mode.add_argument("--watch", action="store_true", help="read and write continuously, each secret when it is due")
    parser.add_argument(
        "--budget",
        type=float,
        metavar="DOLLARS",
        help="maximum price of the AWS requests per month, in US dollars, for --plan; exit status 1 if it is higher",
    )
    _add_source_options(parser)
    return parser


def _add_source_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options for the cluster, the stores and the sealed output."""
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="kubeconfig of the cluster")
    parser.add_argument("--context", default="", help="context of the kubeconfig (default: its current context)")
    parser.add_argument(
        "--from-cluster",
        action="store_true",
        help="take ExternalSecrets and stores from the cluster, instead of PATH",
    )
    parser.add_argument(
        "--interval",
        type=float,
        default=15.0,
        metavar="SECONDS",
        help="how often --watch reads PATH or the cluster again, in seconds (default: 15)",
    )
    parser.add_argument("--every", dest="interval", type=float, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument("--force", action="store_true", help="also read secrets that are not due yet")
    parser.add_argument(
        "--directory",
        action="append",
        default=[],
        metavar="STORE=DIR",
        help="folder to read instead of this store; can be repeated",
    )
    parser.add_argument(
        "--seal", metavar="CERT", help="certificate to seal with, for --once: write SealedSecrets to files instead"
    )
    parser.add_argument("--to", type=Path, metavar="DIR", help="folder for the SealedSecrets of --seal")
    parser.add_argument(
        "-n", "--namespace", default="default", help="namespace of objects without one (default: default)"
    )


def _parse_directory(text: str) -> tuple[str, Path]:
    name, is_split, folder = text.partition("=")
    if not is_split or not name or not folder:
        raise UsageError(f"--directory {text}: write STORE=DIR")
    return name, Path(folder)


def _open_store(args: argparse.Namespace, cluster: DynamicClient | None, key: StoreKey, store: Any) -> Store:
    if key.name in args.directory:
        return DirectoryStore(args.directory[key.name])
    return open_store(cluster, key, store)
