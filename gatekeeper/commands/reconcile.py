"""`gatekeeper reconcile`: what Kustomizations and Applications would change in a cluster; the first also done, once."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from gatekeeper import config
from gatekeeper.apply.model import Asked, Done, Outcome, Round
from gatekeeper.apply.prune_budget import Budget
from gatekeeper.argocd import application_spec as applications
from gatekeeper.argocd import manifest_generation, plan
from gatekeeper.cluster import client
from gatekeeper.cluster.dynamic_client import Objects
from gatekeeper.errors import GateError, UsageError
from gatekeeper.flux import reconcile_order
from gatekeeper.flux import source as flux_source
from gatekeeper.host import atomic_file, git
from gatekeeper.model import Verdict, dotted
from gatekeeper.terminal import object_io
from gatekeeper.terminal.progress import ticking

EXAMPLES = """examples:
  gatekeeper reconcile --plan --kubeconfig ~/.kube/config
  gatekeeper reconcile --plan --kubeconfig ~/.kube/config --name flux-system/apps
  gatekeeper reconcile --once --kubeconfig ~/.kube/config
  gatekeeper reconcile --once --kubeconfig ~/.kube/config --approve main@sha1:4b825dc642cb6eb9a060e54bf8d69288fbee4904
  gatekeeper reconcile --once --kubeconfig ~/.kube/config --from-cluster
  gatekeeper reconcile --to rendered

The repository is rendered and judged as `gatekeeper check` does it; what is refused is not applied. `--plan` asks the
cluster what would change, and changes nothing. `--once` applies in Flux's order, notes in the Kustomization's status
what it applied, and takes away what is not in Git any more: no more than the budget lets, unless that revision is
approved. With `--from-cluster` GitRepositories and Kustomizations are those of the cluster, and each repository is
pulled. `gatekeeper controller run` does that for as long as it runs. Argo CD Applications of the repository are
planned, too (`--plan`), as if their sources were this repository; they are synced by the controller alone.
Exit status: 0 all is as it shall be, or would be; 1 something is refused, waits or failed; 2 wrong usage; 3 the cluster
does not answer, or not all could be judged.
"""
WORDS = {"create": "creates", "configure": "changes", "unchanged": "as it is", "skip": "skips", "failed": "FAILED"}
QUIET_SECONDS = 2.0
# So many sources at a time; and so many fields of an object are told.
AT_ONCE, MOST_FIELDS = 8, 10


def reconcile(arguments: list[str]) -> int:
    """Runs the command."""
    given = _parser().parse_args(arguments)
    if not given.path.exists():
        raise UsageError(f"{given.path}: no such file or folder")
    if given.to:
        return _write(_chosen(given, _all(given)), given.to)
    if not given.kubeconfig:
        raise UsageError("reconcile --plan and --once ask a cluster: give --kubeconfig")
    with client.opened(given.kubeconfig, given.context) as opened, closing(Objects(opened)) as cluster:
        if given.from_cluster:
            return _from_cluster(given, cluster)
        root, settings, jobs = _local(given)
        revision = _revision(root)
        with ticking("rendering and judging", QUIET_SECONDS):
            verdict, asked = flux_source.judged(root, settings, jobs, None)
            argo = manifest_generation.local(root, given.config, jobs, revision) if given.plan else None
        chosen = [] if argo and not _named(given, asked) else _chosen(given, asked)
        done = _round(given, cluster, chosen, verdict, revision)
        status = _status(done, verdict) if done or not argo else 0
        return max(status, _applications(given, cluster, argo)) if argo else status


def _local(given: argparse.Namespace) -> tuple[Path, config.Config, int]:
    root = config.root_of(given.path.resolve())
    return root, config.load(root, given.config), os.cpu_count() or 1


def _all(given: argparse.Namespace) -> list[Asked]:
    """What is applied from a repository, by Kustomizations and by Applications."""
    root, settings, jobs = _local(given)
    found = flux_source.asked(root, settings, jobs)
    argo = manifest_generation.local(root, given.config, jobs, _revision(root))
    if argo is None:
        return found
    for value, reason in argo.faults:
        sys.stderr.write(f"{value['metadata'].get('name')}: {reason}\n")
    return [*found, *(Asked(one.value, "", one.objects, one.lost) for one in argo.asked)]


def _named(given: argparse.Namespace, all_: list[Asked]) -> list[Asked]:
    return [one for one in all_ if given.name in ("", "/".join(one.name))]


def _applications(given: argparse.Namespace, cluster: Objects, argo: manifest_generation.Local) -> int:
    """What Applications of the repository would change."""
    limit = Budget(given.most, given.share / 100)
    done = [Done(Asked(value, "", ()), Outcome(False, "InvalidSpecError", reason)) for value, reason in argo.faults]
    meant = [one for one in argo.asked if given.name in ("", "/".join(one.application.key))]
    done += [plan.planned(cluster, given.argo_namespace, one, argo.verdict, limit) for one in meant]
    for one in done:
        _tell(one)
    return _status(done, argo.verdict)


def _chosen(given: argparse.Namespace, all_: list[Asked]) -> list[Asked]:
    """The Kustomizations that are meant.

    Raises:
        UsageError: there is none.
    """
    found = _named(given, all_)
    if not found:
        raise UsageError(
            f"{given.path}: there is no Flux Kustomization or Application{f' {given.name}' if given.name else ''}"
        )
    return found


def _round(
    given: argparse.Namespace,
    cluster: Objects,
    asked: list[Asked],
    verdict: Verdict,
    revision: str,
) -> list[Done]:
    budget = Budget(given.most, given.share / 100)
    round_ = Round(cluster, verdict, revision, budget, given.approve, given.once, threading.Event())
    return reconcile_order.rounds(round_, asked, _tell)


def _source(given: argparse.Namespace, cluster: Objects, source: flux_source.Source) -> int:
    """One GitRepository with its Kustomizations: pulled, judged and reconciled."""
    repository = source.repository
    if repository is None:
        sys.stdout.write(f"GitRepository {source.name}: FAILED: {source.fault}\n")
        return 1
    if repository.suspend or not source.kustomizations:
        return 0
    try:
        meant = flux_source.meant(cluster, repository)
        root = flux_source.pulled(cluster, repository, meant, flux_source.kept()).root
        # What a repository pins its tools to counts for the whole program.
        with _judging:
            settings = config.load(root, given.config)
            verdict, asked = flux_source.judged(root, settings, os.cpu_count() or 1, source.kustomizations, cluster)
        chosen = [one for one in asked if given.name in ("", "/".join(one.name))]
        return _status(_round(given, cluster, chosen, verdict, str(meant.revision)), verdict)
    except GateError as error:
        # One repository that is broken stops no other; and what was applied last stays.
        sys.stdout.write(f"GitRepository {source.name}: FAILED: {error}\n")
        return error.exit_code


_judging = threading.Lock()


def _from_cluster(given: argparse.Namespace, cluster: Objects) -> int:
    """Each GitRepository of a cluster, once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return max(pool.map(partial(_source, given, cluster), flux_source.found(cluster)), default=0)


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="gatekeeper reconcile",
        description="Apply what Flux Kustomizations say, if the gate accepts it; or tell what that would do.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("path", nargs="?", type=Path, default=Path(), metavar="PATH", help="default: this folder")
    how = options.add_mutually_exclusive_group(required=True)
    how.add_argument("--plan", action="store_true", help="tell what would change")
    how.add_argument("--once", action="store_true", help="apply, once")
    how.add_argument("--to", type=Path, metavar="DIR", help="write what would be applied into a new folder")
    options.add_argument("--kubeconfig", type=Path, metavar="FILE", help="of the cluster")
    options.add_argument("--context", default="", help="of the kubeconfig (default: its current one)")
    options.add_argument(
        "--from-cluster", action="store_true", help="pull what GitRepositories of the cluster name, in place of PATH"
    )
    options.add_argument(
        "--config", type=Path, metavar="FILE", help=f"judge by this, instead of {config.NAME} of each repository"
    )
    options.add_argument(
        "--name", default="", metavar="NAMESPACE/NAME", help="of one Kustomization or Application (default: all)"
    )
    options.add_argument(
        "--argo-namespace", default=applications.HOME, metavar="NAME", help="of Argo CD's own objects (argocd)"
    )
    options.add_argument("--most", type=int, default=10, metavar="N", help="delete no more at once (10)")
    options.add_argument("--share", type=float, default=50.0, metavar="PERCENT", help="nor more of all objects (50)")
    options.add_argument("--approve", default="", metavar="REVISION", help="let this revision delete more than that")
    return options


def _revision(root: Path) -> str:
    """The revision as Flux writes it; with a mark where the work tree is not what was committed."""
    found = git.revision(root)
    if found is None:
        return "unknown"
    return f"{git.branch(root) or 'HEAD'}@sha1:{found}"


def _tell(done: Done) -> None:
    lines = [f"{'/'.join(done.asked.name)}: {done.outcome.reason}: {done.outcome.message}"]
    for change in done.changes:
        if change.action != "unchanged":
            lines.append(f"  {WORDS[change.action]:<9} {change}{f': {change.reason}' if change.reason else ''}")
        lines += [f"              {dotted(field)}" for field in change.fields[:MOST_FIELDS]]
    for one in done.gone:
        word = {"delete": "deletes", "keep": "keeps", "gone": "is gone", "failed": "FAILED"}[one.action]
        lines.append(f"  {word:<9} {one.entry}{f': {one.reason}' if one.reason else ''}")
    sys.stdout.write("\n".join([*lines, ""]))
    sys.stdout.flush()


def _status(done: list[Done], verdict: Verdict) -> int:
    if verdict.word == "incomplete":
        return 3
    return 0 if all(one.outcome.is_ready for one in done) else 1


def _write(asked: list[Asked], folder: Path) -> int:
    """Writes what each Kustomization applies into a file of its own; values of Secrets stay where they are."""
    from gatekeeper.commands.render import _without_secrets

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is no empty folder; name a new one")
    folder.mkdir(parents=True, exist_ok=True)
    lost = 0
    for one in asked:
        target = folder / f"{'-'.join(one.name)}.yaml"
        values: list[Any] = [_without_secrets(value) for value in one.objects]
        atomic_file.write(target, object_io.written(values, "yaml").encode())
        sys.stdout.write(f"{target}: {len(values)} objects{f'; not all: {one.lost}' if one.lost else ''}\n")
        lost = 3 if one.lost else lost
    return lost
