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
from typing import TYPE_CHECKING, Any

from gatekeeper import config
from gatekeeper.cluster import client
from gatekeeper.errors import ToolError, UsageError
from gatekeeper.externalsecrets import collection, fetch_plan, repository_scan
from gatekeeper.externalsecrets import sync as externalsecrets_sync
from gatekeeper.externalsecrets.collection import Found, Given, Refused, Spaces
from gatekeeper.externalsecrets.fetch_plan import StoreKey
from gatekeeper.externalsecrets.scheduler import Watch
from gatekeeper.stores import registry as stores
from gatekeeper.stores.directory import Directory
from gatekeeper.stores.pool import Pause, pause
from gatekeeper.stores.protocol import Store, StoreError
from gatekeeper.terminal import sync_output
from gatekeeper.terminal.progress import ticking

if TYPE_CHECKING:
    from lightkube import Client

EXAMPLES = """examples:
  gatekeeper sync --plan clusters/prod
  gatekeeper sync --plan --budget 20 clusters/prod       in CI, before a change costs more
  gatekeeper sync --dry-run --directory vault-backend=dev-secrets .
  gatekeeper sync --dry-run --kubeconfig ~/.kube/config clusters/prod
  gatekeeper sync --explain prod/db --kubeconfig ~/.kube/config clusters/prod
  gatekeeper sync --once --seal keys/prod.pem --to clusters/prod/secrets clusters/prod
  gatekeeper sync --once --kubeconfig ~/.kube/config clusters/prod
  gatekeeper sync --once --kubeconfig ~/.kube/config --from-cluster
  gatekeeper sync --watch --kubeconfig ~/.kube/config --from-cluster

`--plan` tells what would be read, and reads nothing. `--dry-run` reads, and shows keys with digests that are good for
this one run only. `--once` writes the Secrets into the cluster. With `--from-cluster` ExternalSecrets and stores are
those of the cluster: only what is due by its interval is read, and status and events say what came of it. Stores are
signed in to with the credentials that they name, from the cluster; without a cluster as you (VAULT_TOKEN). No value
is ever printed. `--watch` goes on until it is stopped: each secret is read once an interval, over one sign-in.
Exit status: 0 all is as it shall be, 1 something failed or waits, 2 wrong usage, 3 the cluster does not answer.
"""


QUIET_SECONDS = 2.0
Asked = tuple[Mapping[externalsecrets_sync.Name, Any], Found]


def sync(arguments: list[str]) -> int:
    """Runs the command."""
    given = _parser().parse_args(arguments)
    _check(given)
    with client.opened(given.kubeconfig, given.context) if given.kubeconfig else nullcontext() as cluster:
        if given.plan:
            return _plan(given, _asked(given, cluster)[1])
        with closing(Watch(partial(_opened, given, cluster))) as watch:
            if given.watch and cluster is not None:
                return _watch(given, watch, cluster)
            with ticking("looking for ExternalSecrets", QUIET_SECONDS):
                asked = _asked(given, cluster)
            _tell_refused(asked[1].refused)
            return max(_once(given, watch, cluster, asked), 1 if asked[1].refused else 0)


def _plan(given: argparse.Namespace, found: Found) -> int:
    _tell_refused(found.refused)
    dollars = sync_output.plan(fetch_plan.plan(found.wanted), found)
    if given.budget is not None and dollars > given.budget:
        sys.stdout.write(f"refused: {dollars:.2f} $ a month are more than the budget of {given.budget:.2f} $\n")
        return 1
    return 1 if found.refused else 0


def _tell_refused(refused: Sequence[Refused]) -> None:
    for one in refused:
        sys.stdout.write(f"FAILED    {one}\n")


def _check(given: argparse.Namespace) -> None:
    """Raises UsageError where options do not go together."""
    given.directory = dict(map(_directory, given.directory))
    if given.once and not given.kubeconfig and not given.seal:
        raise UsageError("sync --once writes into a cluster, or sealed files: give --kubeconfig, or --seal and --to")
    if bool(given.seal) != bool(given.to) or (given.seal and not given.once):
        raise UsageError("sync --once --seal CERT --to DIR go together")
    if (given.from_cluster or given.watch) and not given.kubeconfig:
        raise UsageError(f"sync {'--watch' if given.watch else '--from-cluster'}: give the cluster, with --kubeconfig")


def _asked(given: argparse.Namespace, cluster: Client | None) -> Asked:
    """What is asked for, and the ExternalSecrets as they are in the cluster, where they come from there."""
    from gatekeeper.cluster import external_secrets

    if cluster is None:
        return {}, repository_scan.found(given.path, given.namespace, Spaces({}, False))
    known = external_secrets.namespaces(cluster)
    spaces = Spaces(known or {}, known is not None)
    if not given.from_cluster:
        return {}, repository_scan.found(given.path, given.namespace, spaces)
    values = list(external_secrets.objects(cluster))
    rules = config.load(config.root_of(given.path.resolve()), None).secrets_allow
    things = (Given(one, one["metadata"].get("namespace") or "", lambda path: "") for one in values)
    own = {
        (one["metadata"]["namespace"], one["metadata"]["name"]): one
        for one in values
        if one["kind"] == "ExternalSecret"
    }
    return own, collection.collected(things, spaces, rules)


def _once(given: argparse.Namespace, watch: Watch, cluster: Client | None, asked: Asked) -> int:
    """One round: reads what is due, does with it what was asked for, and tells of it."""
    objects, found = asked
    is_written = bool(given.watch or (given.once and not given.seal))
    with ticking(f"fetching for {len(found.wanted)} ExternalSecrets", QUIET_SECONDS):
        done = watch.round(cluster, found, objects, is_written, given.force or not is_written)
    if given.explain:
        return sync_output.explain(given.explain, done.decisions, done.fetched)
    if given.seal:
        status = max([sync_output.sealed(one, given.seal, given.to) for one in done.decisions], default=0)
    else:
        told = [one for one in done.decisions if not given.watch or one.action != "as it is"]
        status = max([sync_output.decision(one, is_written) for one in told], default=0)
    if len(done.decisions) < len(found.wanted) and not given.watch:
        late = len(found.wanted) - len(done.decisions)
        sys.stdout.write(f"{late} ExternalSecrets are not due yet (--force reads them all)\n")
    for key, calls in sorted(done.fetched.calls.items()):
        sys.stdout.write(f"{key}: {calls} requests for {done.plan[key].references} references\n")
    sys.stdout.flush()
    return status


def _watch(given: argparse.Namespace, watch: Watch, cluster: Client) -> int:
    """Round after round, until told to stop. What fails is tried again, and ends nothing."""
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    told: list[Refused] = []
    paused: Pause | None = None
    while not stop.is_set():
        try:
            with client.refusals(given.kubeconfig):
                asked = _asked(given, cluster)
                # Told once, and again when it is another.
                _tell_refused([one for one in asked[1].refused if one not in told])
                told = asked[1].refused
                _once(given, watch, cluster, asked)
            paused, seconds = None, watch.next(given.every)
        except ToolError as error:
            sys.stdout.write(f"FAILED    {error}\n")
            paused = pause(paused, 0.0)
            seconds = paused.until
        stop.wait(seconds)
    return 0


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="gatekeeper sync",
        description="Read what ExternalSecrets ask for, each secret once, and write the Secrets into a cluster.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("path", nargs="?", type=Path, default=Path(), metavar="PATH", help="default: this folder")
    how = options.add_mutually_exclusive_group(required=True)
    how.add_argument("--plan", action="store_true", help="tell what would be read")
    how.add_argument("--dry-run", action="store_true", help="read, and tell what would be written")
    how.add_argument(
        "--explain", metavar="NAME", help="read, and tell where each value of one ExternalSecret comes from"
    )
    how.add_argument("--once", action="store_true", help="read and write, once")
    how.add_argument("--watch", action="store_true", help="read and write what is due, again and again")
    options.add_argument(
        "--budget", type=float, metavar="DOLLARS", help="with --plan: refuse what costs more a month at AWS"
    )
    options.add_argument("--kubeconfig", type=Path, metavar="FILE", help="of the cluster")
    options.add_argument("--context", default="", help="of the kubeconfig (default: its current one)")
    options.add_argument(
        "--from-cluster", action="store_true", help="take ExternalSecrets and stores from the cluster, in place of PATH"
    )
    options.add_argument(
        "--every", type=float, default=15.0, metavar="SECONDS", help="with --watch: how often to look for changes (15)"
    )
    options.add_argument("--force", action="store_true", help="read also what is not due yet")
    options.add_argument(
        "--directory", action="append", default=[], metavar="STORE=DIR", help="take a folder for this store instead"
    )
    options.add_argument("--seal", metavar="CERT", help="with --once: write SealedSecrets for this certificate instead")
    options.add_argument("--to", type=Path, metavar="DIR", help="with --seal: where")
    options.add_argument("-n", "--namespace", default="default", help="where an object names none")
    return options


def _directory(text: str) -> tuple[str, Path]:
    name, is_split, folder = text.partition("=")
    if not is_split or not name or not folder:
        raise UsageError(f"--directory {text}: write STORE=DIR")
    return name, Path(folder)


def _opened(given: argparse.Namespace, cluster: Client | None, key: StoreKey, value: Any) -> Store:
    if key.name in given.directory:
        return Directory(given.directory[key.name])
    if value is None:
        raise StoreError(f"is not in the {'cluster' if given.from_cluster else 'repository'}")
    if cluster is None:
        return stores.opened(value, None)
    from gatekeeper.cluster.store_credentials import InCluster

    return stores.opened(value, InCluster(cluster, key.namespace, key.kind == "SecretStore"))
