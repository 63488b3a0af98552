"""`gatekeeper fetch`: charts, artifacts and files from elsewhere, into the lock and the cache of this user."""

from __future__ import annotations

import fnmatch
import sys
from pathlib import Path

from gatekeeper import config
from gatekeeper.errors import UsageError
from gatekeeper.fetch import download, lock_update
from gatekeeper.fetch.lock_update import LockChange, LockUpdate
from gatekeeper.fetch.plan import FetchPlan
from gatekeeper.sources.model import SourcePin, SourceRequest
from gatekeeper.sources.source_cache import SourceCache, open_source_cache
from gatekeeper.terminal.options import create_parser
from gatekeeper.workspace import config_loader, lock_merge, lockfile

EXAMPLES = """examples:
  gatekeeper fetch                     fetch and lock what is new; pins that are in gatekeeper.lock stay
  gatekeeper fetch --check             say what is not locked or not fetched, without a connection (for CI)
  gatekeeper fetch --update            move every pin to the newest version that its request permits
  gatekeeper fetch --update podinfo    move the pins of one chart; `*` stands for any text

Commit gatekeeper.lock: `gatekeeper check` renders what it pins, and opens no connection.
Exit status: 0 all is locked and fetched, 1 --check found a lock that does not fit, 3 something could not be fetched.
"""


def fetch(arguments: list[str]) -> int:
    """Runs the command.

    Raises:
        UsageError: the path does not exist, or the configuration or the lock is invalid.
        ToolError: gatekeeper-upstream cannot be used.
    """
    parser = create_parser("fetch", "Fetch the charts that a repository takes from elsewhere, and lock them.", EXAMPLES)
    parser.add_argument("path", type=Path, nargs="?", default=Path(), metavar="PATH", help="a folder of the repository")
    parser.add_argument("--check", action="store_true", help="change nothing and open no connection")
    parser.add_argument("--update", nargs="*", metavar="NAME", help="move the pins of these charts, or of all")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"use this instead of {config.CONFIG_FILE} in the repository root"
    )
    args = parser.parse_args(arguments)
    if args.check and args.update is not None:
        raise UsageError("--check changes nothing; remove --update")
    if not args.path.exists():
        raise UsageError(f"{args.path}: no such file or folder")
    root = config_loader.find_root(args.path.resolve())
    for key in () if args.check else lock_merge.resolve_conflicts(root):
        sys.stderr.write(f"{lockfile.LOCK_FILE}: both sides of a merge pin {key} to something else: fetched again\n")
    settings, cache = config_loader.load(root, args.config), open_source_cache()
    if args.check:
        return _report_plan(lock_update.collect_plan(root, settings, cache))
    return _fetch(root, settings, cache, args.update)


def _fetch(root: Path, settings: config.Config, cache: SourceCache, names: list[str] | None) -> int:
    patterns = [] if names is None else names or ["*"]
    matched: set[str] = set()

    def is_moved(key: str, request: SourceRequest) -> bool:
        words = (key, request.chart, request.address, request.address.rpartition("/")[2])
        found = {one for one in patterns if any(fnmatch.fnmatchcase(word, one) for word in words)}
        matched.update(found)
        return bool(found)

    with download.open_downloader(cache) as downloader:
        result = lock_update.fetch_sources(root, settings, cache, downloader, is_moved)
    if names and not matched.issuperset(names):
        unknown = ", ".join(name for name in names if name not in matched)
        raise UsageError(f"--update {unknown}: no source of this repository; `gatekeeper fetch --check` names them")
    if result.changes:
        lockfile.write_sources(root, result.pins)
    return _report_result(result)


def _report_result(result: LockUpdate) -> int:
    for change in result.changes:
        sys.stdout.write(f"{_format_change(change)}\n")
    for key in result.restored:
        sys.stdout.write(f"fetched   {key}\n")
    for fault in result.faults:
        where = f"{fault.location.file}:{fault.location.line or 1}"
        sys.stderr.write(f"{where}: {fault.key}: {fault.reason}\n")
    count, changed = len(result.plan.requests), len(result.changes)
    sys.stdout.write(f"{count} sources, {changed} changed in {lockfile.LOCK_FILE}, {len(result.faults)} not fetched\n")
    return 3 if result.faults else 0


def _format_change(change: LockChange) -> str:
    if change.after is None:
        return f"removed   {change.key}"
    if change.before is None:
        return f"locked    {change.key}: {_format_pin(change.after)}"
    return f"moved     {change.key}: {_format_pin(change.before)} -> {_format_pin(change.after)}"


def _format_pin(pin: SourcePin) -> str:
    return f"{pin.version} {pin.digest[: len('sha256:') + 12]}".lstrip()


def _report_plan(plan: FetchPlan) -> int:
    for key in plan.unlocked:
        location = plan.requests[key].location
        sys.stdout.write(f"{location.file}:{location.line or 1}: not locked: {key}\n")
    for key in plan.unused:
        sys.stdout.write(f"{lockfile.LOCK_FILE}: not used by any file: {key}\n")
    for key in plan.absent:
        sys.stdout.write(f"{lockfile.LOCK_FILE}: locked, but not fetched on this machine: {key}\n")
    if plan.is_stale or plan.absent:
        sys.stdout.write(f"run `gatekeeper fetch`, and commit {lockfile.LOCK_FILE}\n")
    else:
        for key in plan.requests:
            sys.stdout.write(f"{key}\n")
        sys.stdout.write(f"{len(plan.requests)} sources, all locked and fetched\n")
    return 1 if plan.is_stale else 3 if plan.absent else 0
