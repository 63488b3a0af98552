"""`gatekeeper sync`: what ExternalSecrets ask for, read from its stores and written into a cluster, or sealed."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from gatekeeper import config
from gatekeeper.cluster import client, external_secrets
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.cluster.store_credentials import ClusterCredentials
from gatekeeper.errors import ToolError, UsageError
from gatekeeper.externalsecrets import collection, fetch_plan, repository_scan
from gatekeeper.externalsecrets.collection import DesiredSecrets, InputObject, KnownNamespaces, RefusedObject
from gatekeeper.externalsecrets.fetch_plan import StoreKey
from gatekeeper.externalsecrets.scheduler import RefreshScheduler
from gatekeeper.kube.objects import NamespacedName, name_of
from gatekeeper.stores import registry as stores
from gatekeeper.stores.directory import DirectoryStore
from gatekeeper.stores.pool import Backoff, next_backoff
from gatekeeper.stores.protocol import Store, StoreError
from gatekeeper.terminal import sync_output
from gatekeeper.terminal.options import create_parser
from gatekeeper.terminal.progress import show_progress

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
SyncInput = tuple[Mapping[NamespacedName, Any], DesiredSecrets]


def sync(arguments: list[str]) -> int:
    """Runs the command."""
    given = _build_parser().parse_args(arguments)
    _validate_options(given)
    with client.connect(given.kubeconfig, given.context) if given.kubeconfig else nullcontext() as cluster:
        if given.plan:
            return _print_plan(given, _collect_input(given, cluster)[1])
        with closing(RefreshScheduler(partial(_open_store, given, cluster))) as watch:
            if given.watch and cluster is not None:
                return _run_watch(given, watch, cluster)
            with show_progress("searching ExternalSecrets", PROGRESS_DELAY_SECONDS):
                asked = _collect_input(given, cluster)
            _print_refused(asked[1].refusals)
            return max(_run_round(given, watch, cluster, asked), 1 if asked[1].refusals else 0)


def _print_plan(args: argparse.Namespace, collected: DesiredSecrets) -> int:
    _print_refused(collected.refusals)
    dollars = sync_output.print_plan(fetch_plan.build_plan(collected.specs), collected)
    if args.budget is not None and dollars > args.budget:
        sys.stdout.write(f"refused: ${dollars:.2f} per month exceeds the budget of ${args.budget:.2f}\n")
        return 1
    return 1 if collected.refusals else 0


def _print_refused(refused: Sequence[RefusedObject]) -> None:
    for one in refused:
        sys.stdout.write(f"FAILED    {one}\n")


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
    """What is asked for, and the ExternalSecrets as they are in the cluster, where they come from there."""
    if cluster is None:
        return {}, repository_scan.scan_repository(args.path, args.namespace, KnownNamespaces({}, False))
    known = external_secrets.list_namespaces(cluster)
    spaces = KnownNamespaces(known or {}, known is not None)
    if not args.from_cluster:
        return {}, repository_scan.scan_repository(args.path, args.namespace, spaces)
    values = list(external_secrets.list_objects(cluster))
    rules = config.load(config.find_root(args.path.resolve()), None).secrets_allow
    things = (InputObject(one, one["metadata"].get("namespace") or "", lambda path: "") for one in values)
    own = {name_of(one): one for one in values if one["kind"] == "ExternalSecret"}
    return own, collection.collect_desired_secrets(things, spaces, rules)


def _run_round(
    args: argparse.Namespace, scheduler: RefreshScheduler, cluster: DynamicClient | None, sync_input: SyncInput
) -> int:
    """One round: reads what is due, does with it what was asked for, and tells of it."""
    objects, found = sync_input
    is_written = bool(args.watch or (args.once and not args.seal))
    with show_progress(f"fetching for {len(found.specs)} ExternalSecrets", PROGRESS_DELAY_SECONDS):
        done = scheduler.run_round(cluster, found, objects, is_written, args.force or not is_written)
    if args.explain:
        return sync_output.print_explanation(args.explain, done.decisions, done.fetched)
    if args.seal:
        status = max([sync_output.write_sealed_secret(one, args.seal, args.to) for one in done.decisions], default=0)
    else:
        told = [one for one in done.decisions if not args.watch or one.action != "as it is"]
        status = max([sync_output.print_decision(one, is_written) for one in told], default=0)
    if len(done.decisions) < len(found.specs) and not args.watch:
        late = len(found.specs) - len(done.decisions)
        sys.stdout.write(f"{late} ExternalSecrets are not due yet (--force reads them all)\n")
    for key, calls in sorted(done.fetched.request_counts.items()):
        sys.stdout.write(f"{key}: {calls} requests for {done.plan[key].reference_count} references\n")
    sys.stdout.flush()
    return status


def _run_watch(args: argparse.Namespace, scheduler: RefreshScheduler, cluster: DynamicClient) -> int:
    """Runs rounds until a signal stops it; failures are retried."""
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    told: list[RefusedObject] = []
    paused: Backoff | None = None
    while not stop.is_set():
        try:
            asked = _collect_input(args, cluster)
            # Told once, and again when it is another.
            _print_refused([one for one in asked[1].refusals if one not in told])
            told = asked[1].refusals
            _run_round(args, scheduler, cluster, asked)
            paused, seconds = None, scheduler.compute_wait(args.interval)
        except ToolError as error:
            sys.stdout.write(f"FAILED    {error}\n")
            paused = next_backoff(paused, 0.0)
            seconds = paused.until
        stop.wait(seconds)
    return 0


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
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="kubeconfig of the cluster")
    parser.add_argument("--context", default="", help="context of the kubeconfig (default: its current context)")
    parser.add_argument(
        "--from-cluster",
        action="store_true",
        help="take ExternalSecrets and stores from the cluster, instead of PATH",
    )
    parser.add_argument(
        "--interval",
        "--every",
        type=float,
        default=15.0,
        metavar="SECONDS",
        help="seconds between two searches for changes, for --watch (default: 15)",
    )
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
    return parser


def _parse_directory(text: str) -> tuple[str, Path]:
    name, is_split, folder = text.partition("=")
    if not is_split or not name or not folder:
        raise UsageError(f"--directory {text}: write STORE=DIR")
    return name, Path(folder)


def _open_store(args: argparse.Namespace, cluster: DynamicClient | None, key: StoreKey, value: Any) -> Store:
    if key.name in args.directory:
        return DirectoryStore(args.directory[key.name])
    if value is None:
        raise StoreError(f"is not in the {'cluster' if args.from_cluster else 'repository'}")
    if cluster is None:
        return stores.open_store(value, None)
    return stores.open_store(value, ClusterCredentials(cluster, key.namespace, key.kind == "SecretStore"))
