"""`gatekeeper check`: checks files and reports the verdict."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from gatekeeper import config
from gatekeeper.errors import UsageError
from gatekeeper.gate import cache_key, verdict_cache
from gatekeeper.gate.request import BaseComparison, CheckRequest
from gatekeeper.host import cache, git_history, git_state
from gatekeeper.host.background import BackgroundCall
from gatekeeper.model import Verdict
from gatekeeper.report.formats import REPORT_FORMATS
from gatekeeper.secret_value import SecretBytes
from gatekeeper.terminal.options import create_parser
from gatekeeper.terminal.progress import build_progress_bar
from gatekeeper.terminal.report_output import parse_output, write_report
from gatekeeper.workspace import config_loader, lockfile
from gatekeeper.workspace.lockfile import EMPTY_LOCK, Lock

EXAMPLES = """examples:
  gatekeeper check
  gatekeeper check clusters/production
  gatekeeper check --staged                 in a pre-commit hook
  gatekeeper check --since origin/main      in a pull request
  gatekeeper check --format text --format json=verdict.json
  gatekeeper check --format github --format sarif=gatekeeper.sarif --format junit=gatekeeper.xml
  gatekeeper check --shard 2/4 --format json=gatekeeper-2.json
  gatekeeper check --open --key backup-of-the-controller.yaml clusters/prod
  gatekeeper check --policy my/policies --engine opa

Exit status: 0 accepted, 1 refused, 2 wrong usage or configuration, 3 something could not be checked.
"""


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the options."""
    parser = create_parser(
        "check",
        "Check files, folders or a whole repository. Needs no key and opens no network connection.",
        EXAMPLES,
    )
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="files and folders to check (default: the repository)"
    )
    parser.add_argument(
        "--format",
        action="append",
        metavar="FORMAT[=FILE]",
        help=f"format of the report: {', '.join(REPORT_FORMATS)} (default: text); can be repeated",
    )
    change = parser.add_mutually_exclusive_group()
    change.add_argument(
        "--staged",
        action="store_true",
        help="check the Git index; report only findings that the staged changes can cause",
    )
    change.add_argument(
        "--since",
        metavar="REV",
        help="report only findings in what changed since REV; older findings do not count (for pull requests)",
    )
    parser.add_argument(
        "--shard", metavar="I/N", help="check only shard I of N; `gatekeeper merge` merges the reports of all shards"
    )
    parser.add_argument(
        "--engine",
        choices=config_loader.ALLOWED_VALUES["engine"],
        help="policy engine (default: `engine` of the config)",
    )
    parser.add_argument(
        "--policy", action="append", default=[], metavar="DIR", help="folder of additional policies; can be repeated"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"use this instead of {config.CONFIG_FILE} in the repository root"
    )
    _add_run_options(parser)
    return parser


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options for how the check runs and what it decrypts."""
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="number of threads (default: CPU cores)"
    )
    parser.add_argument(
        "--write-baseline",
        action="store_true",
        help="accept all current findings: write them to the baseline file, so that only new ones count",
    )
    parser.add_argument(
        "--open",
        action="store_true",
        help="also decrypt encrypted files with the available keys, and verify their MACs and authentication tags",
    )
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="private keys of the sealed-secrets controller, for --open; can be repeated",
    )
    parser.add_argument("--no-cache", action="store_true", help="do not read or write the cache of earlier runs")


def check(arguments: list[str]) -> int:
    """Runs the command.

    Raises:
        UsageError: options conflict, or the configuration is invalid.
    """
    args = build_parser().parse_intermixed_args(arguments)
    outputs = [parse_output(text) for text in args.format or ["text"]]
    _reject_conflicting_options(args)
    paths = args.paths or [Path.cwd()]
    if not paths[0].exists():
        raise UsageError(f"{paths[0]}: no such file or folder")
    root = config_loader.find_root(paths[0].resolve())
    base = git_history.find_merge_base(root, args.since) if args.since else ""
    staged = git_state.read_staged(root, (lockfile.LOCK_FILE, config.CONFIG_FILE)) if args.staged else None
    # Git runs in parallel with the rest: one after the other they would double the time of a short run.
    opened_cache = None if args.no_cache else cache.open_cache(cache_key.identify_installation())
    has_state = opened_cache is not None and staged is None
    state = BackgroundCall(partial(git_state.read_state, root)) if has_state else None
    revision = BackgroundCall(partial(_describe_revision, root, staged, state))
    settings = _load_settings(args, root, staged)
    changed = staged.changed_files if staged else git_state.list_changed_files(root, base) if base else None
    request = CheckRequest(
        root=root,
        paths=args.paths or [root],
        settings=settings,
        on_progress=build_progress_bar(),
        # Staged changes are compared with the last commit.
        base_commit=staged.head_commit if staged else base,
        staged=staged,
        base_comparison=_build_base_comparison(args, settings) if base else None,
        changed_files=changed,
        shard=args.shard or "",
        jobs=args.jobs,
        private_keys=_read_keys(args.key) if args.open else None,
        verdict_cache=opened_cache,
        read_state=(lambda _: state.wait_for_result()) if state else git_state.read_state,
    )
    verdict = _run_check(request)._replace(revision=revision.wait_for_result())
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    if args.write_baseline:
        return _write_baseline(verdict, root, settings)
    for name, file in outputs:
        write_report(verdict, root, name, file)
        if name == "github":
            _write_summary(verdict)
    return verdict.exit_code


def _describe_revision(
    root: Path, staged: git_state.StagedState | None, state: BackgroundCall[git_state.WorkTreeState | None] | None
) -> str | None:
    """The commit of the work tree, from its state if that is read anyway."""
    known = state.wait_for_result() if state else None
    return known.revision if known is not None else git_state.describe_revision(root, staged)


def _run_check(request: CheckRequest) -> Verdict:
    """Returns the cached verdict for the same input, or runs the check."""
    entry = verdict_cache.find_entry(request)
    verdict = entry.read_verdict() if entry else None
    if verdict is not None:
        return verdict
    # A cached verdict needs no program; otherwise it starts while the engines are loaded.
    from gatekeeper.upstream.client import prepare_client

    prepare_client(request.settings.kubernetes)
    # Loading the engines takes longer than reading a cached verdict.
    from gatekeeper.gate import run

    return run.check_repository(request, entry)


def _build_base_comparison(args: argparse.Namespace, settings: config.Config) -> BaseComparison:
    named = [Path(path).resolve() for path in (*args.policy, *([args.config] if args.config else []))]

    def load(copy: Path) -> config.Config:
        # The same programs render both, but each from the charts that it pins.
        lock = Lock(settings.toolchain, lockfile.load_sources(copy))
        return _apply_flags(config_loader.load(copy, args.config, lock), args)

    return BaseComparison(load, named)


def _read_keys(paths: Sequence[Path]) -> list[tuple[str, SecretBytes]]:
    # Most runs decrypt nothing.
    from gatekeeper.terminal.key_io import read_decrypted

    return [(str(path), SecretBytes(read_decrypted(path))) for path in paths]


def _reject_conflicting_options(args: argparse.Namespace) -> None:
    """Raises UsageError for options that exclude each other."""
    if args.jobs < 1:
        raise UsageError("--jobs must be 1 or more")
    if args.write_baseline and (args.paths or args.staged or args.since):
        raise UsageError("--write-baseline needs the whole repository; remove PATH, --staged and --since")
    if args.staged and args.paths:
        raise UsageError("--staged checks the whole index; remove PATH")
    if args.shard and (args.write_baseline or args.staged or args.since):
        raise UsageError("--shard divides a full check; remove --staged, --since and --write-baseline")
    if args.key and not args.open:
        raise UsageError("--key is only used with --open; add --open or remove --key")


def _load_settings(args: argparse.Namespace, root: Path, index: git_state.StagedState | None) -> config.Config:
    if index is None:
        return _apply_flags(config_loader.load(root, args.config), args)
    staged_lock = index.contents.get(lockfile.LOCK_FILE)
    lock = EMPTY_LOCK if staged_lock is None else lockfile.parse(staged_lock, lockfile.LOCK_FILE)
    if args.config:
        return _apply_flags(config_loader.load(root, args.config, lock), args)
    staged = index.contents.get(config.CONFIG_FILE)
    if staged is None:
        return _apply_flags(config.Config(toolchain=lock.tools, sources=lock.sources), args)
    settings = config_loader.parse(staged, config.CONFIG_FILE, lock)
    return _apply_flags(settings, args)


def _apply_flags(settings: config.Config, args: argparse.Namespace) -> config.Config:
    folders = tuple(str(Path(folder).resolve()) for folder in args.policy)
    return settings._replace(engine=args.engine or settings.engine, policies=(*settings.policies, *folders))


def _write_baseline(verdict: Verdict, root: Path, settings: config.Config) -> int:
    """Writes the baseline.

    Raises:
        UsageError: something could not be checked; its findings are unknown and would be missing in the baseline. Or
            the file cannot be written.
    """
    # Few runs write a baseline.
    from gatekeeper.gate import baseline

    if verdict.decision == "incomplete":
        raise UsageError(
            "no baseline was written: something could not be checked; run `gatekeeper check` and fix that first"
        )
    file = root / settings.baseline
    if not file.parent.is_dir():
        raise UsageError(
            f"no baseline was written: {settings.baseline} has no folder; create {Path(settings.baseline).parent}, or "
            "change `baseline` in gatekeeper.yaml"
        )
    try:
        count = baseline.write(verdict.findings, file, settings, datetime.date.today())
    except OSError as error:
        raise UsageError(f"no baseline was written: {settings.baseline}: {error.strerror or error}") from error
    sys.stdout.write(f"{settings.baseline}: {count} findings written; from now on only new findings count\n")
    return 0


def _write_summary(verdict: Verdict) -> None:
    """Appends to the job summary, in the file that GitHub Actions names."""
    target = os.environ.get("GITHUB_STEP_SUMMARY")
    if target:
        # Only runs in GitHub Actions need it.
        from gatekeeper.report.github import render_summary

        with Path(target).open("a", encoding="utf-8") as handle:
            handle.write(render_summary(verdict))
