"""`gatekeeper reconcile`: what Flux Kustomizations of a repository would change in a cluster, and doing it once."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from gatekeeper import config, documents, files, git, reconciles, runs, sources
from gatekeeper.cluster import client
from gatekeeper.cluster.objects import Objects
from gatekeeper.commands import reading
from gatekeeper.commands.ticking import ticking
from gatekeeper.errors import UsageError
from gatekeeper.model import Verdict, dotted
from gatekeeper.reconciles import Asked, Done, Round
from gatekeeper.reconciling.budget import Budget
from gatekeeper.render import every

EXAMPLES = """examples:
  gatekeeper reconcile --plan --kubeconfig ~/.kube/config
  gatekeeper reconcile --plan --kubeconfig ~/.kube/config --name flux-system/apps
  gatekeeper reconcile --once --kubeconfig ~/.kube/config
  gatekeeper reconcile --once --kubeconfig ~/.kube/config --approve main@sha1:4b825dc642cb6eb9a060e54bf8d69288fbee4904
  gatekeeper reconcile --to rendered

The repository is rendered and judged as `gatekeeper check` does it; what is refused is not applied. `--plan` asks the
cluster what would change, and changes nothing. `--once` applies in Flux's order, notes in the Kustomization's status
what it applied, and takes away what is not in Git any more: no more than the budget lets, unless that revision is
approved.
Exit status: 0 all is as it shall be, or would be; 1 something is refused, waits or failed; 2 wrong usage; 3 the cluster
does not answer, or not all could be judged.
"""
WORDS = {"create": "creates", "configure": "changes", "unchanged": "as it is", "skip": "skips", "failed": "FAILED"}
QUIET_SECONDS = 2.0


def reconcile(arguments: list[str]) -> int:
    """Runs the command."""
    given = _parser().parse_args(arguments)
    if not given.path.exists():
        raise UsageError(f"{given.path}: no such file or folder")
    root = config.root_of(given.path.resolve())
    settings = config.load(root, None)
    with ticking("rendering", QUIET_SECONDS):
        asked = [one for one in _asked(root, settings) if given.name in ("", "/".join(one.name))]
    if not asked:
        raise UsageError(f"{given.path}: there is no Flux Kustomization{f' {given.name}' if given.name else ''}")
    if given.to:
        return _write(asked, given.to)
    if not given.kubeconfig:
        raise UsageError("reconcile --plan and --once ask a cluster: give --kubeconfig")
    with ticking("judging", QUIET_SECONDS):
        verdict = runs.verdict_of(runs.Run(root, [root], settings, lambda steps, step, part: None))
    with client.opened(given.kubeconfig, given.context) as opened, closing(Objects(opened)) as cluster:
        budget = Budget(given.most, given.share / 100)
        round_ = Round(cluster, verdict, _revision(root), budget, given.approve, given.once)
        done = reconciles.rounds(round_, asked, _tell)
    return _status(done, verdict)


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
    options.add_argument("--name", default="", metavar="NAMESPACE/NAME", help="of one Kustomization (default: all)")
    options.add_argument("--most", type=int, default=10, metavar="N", help="delete no more at once (10)")
    options.add_argument("--share", type=float, default=50.0, metavar="PERCENT", help="nor more of all objects (50)")
    options.add_argument("--approve", default="", metavar="REVISION", help="let this revision delete more than that")
    return options


def _asked(root: Path, settings: config.Config) -> Iterator[Asked]:
    """The Flux Kustomizations of a repository, with what each applies."""
    jobs = os.cpu_count() or 1
    # What is kept from the gate is applied nevertheless, and must not be taken away for being overlooked.
    tree = sources.gather([root], root, ())
    judged = set(sources.gather([root], root, settings.exclude).files)
    unjudged = [name for name in tree.files if name not in judged and name.endswith((".yaml", ".yml"))]
    read, _ = documents.read(tree, jobs)
    for entry, (resources, _, gaps) in every.by_applier(tree, read, settings, jobs):
        if entry.resource.ref.group != reconciles.GROUP:
            continue
        lost = next((f"{gap.file}: {gap.reason}" for gap in gaps if gap.fatal), "")
        hidden = [name for name in unjudged if name.startswith(f"{entry.folder}/" if entry.folder else "")]
        if hidden and not lost:
            lost = f"{hidden[0]}: would be applied, and is kept from the gate by `files.exclude`"
        yield Asked(entry.resource.value, entry.folder, [one.value for one in resources], lost)


def _revision(root: Path) -> str:
    """The revision as Flux writes it; with a mark where the work tree is not what was committed."""
    found = git.revision(root)
    if found is None:
        return "unknown"
    return f"{git.branch(root) or 'HEAD'}@sha1:{found}"


def _tell(done: Done) -> None:
    name = "/".join(done.asked.name)
    sys.stdout.write(f"{name}: {done.outcome.reason}: {done.outcome.message}\n")
    for change in done.changes:
        if change.action != "unchanged":
            reason = f": {change.reason}" if change.reason else ""
            sys.stdout.write(f"  {WORDS[change.action]:<9} {change}{reason}\n")
        for field in change.fields[:10]:
            sys.stdout.write(f"              {dotted(field)}\n")
    for one in done.gone:
        word = {"delete": "deletes", "keep": "keeps", "gone": "is gone", "failed": "FAILED"}[one.action]
        sys.stdout.write(f"  {word:<9} {one.entry}{f': {one.reason}' if one.reason else ''}\n")
    sys.stdout.flush()


def _status(done: list[Done], verdict: Verdict) -> int:
    if verdict.word == "incomplete":
        return 3
    return 0 if all(one.outcome.is_ready for one in done) else 1


def _write(asked: list[Asked], folder: Path) -> int:
    """Writes what each Kustomization applies into a file of its own; values of Secrets stay where they are."""
    from gatekeeper.commands.render import _without_secrets

    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: is not empty; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    lost = 0
    for one in asked:
        target = folder / f"{'-'.join(one.name)}.yaml"
        values: list[Any] = [_without_secrets(value) for value in one.objects]
        files.write(target, reading.written(values, "yaml").encode())
        sys.stdout.write(f"{target}: {len(values)} objects{f'; not all: {one.lost}' if one.lost else ''}\n")
        lost = 3 if one.lost else lost
    return lost
