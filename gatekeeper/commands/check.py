"""`gatekeeper check`: judge files and print the verdict."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper import cache, config, files, git, identity, shards, verdicts
from gatekeeper.errors import UsageError
from gatekeeper.model import Verdict
from gatekeeper.report.every import FORMATS, render

if TYPE_CHECKING:
    from gatekeeper import gate, sources


QUIET_SECONDS = 2.0
BAR = 30
EXAMPLES = """examples:
  gatekeeper check
  gatekeeper check clusters/production
  gatekeeper check --staged                 in a pre-commit hook
  gatekeeper check --since origin/main      in a pull request
  gatekeeper check --format text --format json=verdict.json
  gatekeeper check --format github --format sarif=gatekeeper.sarif --format junit=gatekeeper.xml
  gatekeeper check --shard 2/4 --format json=gatekeeper-2.json
  gatekeeper check --policy my/policies --engine opa
"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        prog="gatekeeper check",
        description="Judge files, folders or a whole repository. Needs no key and opens no connection.",
        epilog=EXAMPLES,
        # A width of its own: to ask for the terminal's, argparse imports half of the standard library.
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=110),
    )
    options.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="what to judge (default: the repository)")
    options.add_argument(
        "--format", action="append", metavar="FORMAT[=FILE]", help=f"{', '.join(FORMATS)}; can be given several times"
    )
    change = options.add_mutually_exclusive_group()
    change.add_argument("--staged", action="store_true", help="judge the index, and tell what its changes can break")
    change.add_argument("--since", metavar="REV", help="tell what the changes since REV can break (a pull request)")
    options.add_argument("--shard", metavar="I/N", help="judge one of N shares; `gatekeeper merge` joins the reports")
    options.add_argument("--engine", choices=config.CHOICES["engine"], help="instead of the config's `engine`")
    options.add_argument("--policy", action="append", default=[], metavar="DIR", help="more policies")
    options.add_argument("--config", type=Path, metavar="FILE", help=f"instead of {config.NAME} in the root")
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="threads (default: cores)")
    options.add_argument(
        "--write-baseline",
        action="store_true",
        help="take all that is found as known from now on",
    )
    options.add_argument("--no-cache", action="store_true", help="ask nothing of earlier runs, and keep nothing")
    return options


def check(arguments: list[str]) -> int:
    """Runs the command."""
    given = parser().parse_intermixed_args(arguments)
    outputs = [output(text) for text in given.format or ["text"]]
    if given.jobs < 1:
        raise UsageError("--jobs must be 1 or more")
    paths = given.paths or [Path.cwd()]
    root = config.root_of(paths[0].resolve())
    paths = given.paths or [root]
    if given.write_baseline and (given.paths or given.staged or given.since):
        raise UsageError("--write-baseline takes the whole repository; leave PATHs, --staged and --since out")
    if given.staged and given.paths:
        raise UsageError("--staged judges the whole index; leave the PATHs out")
    if given.shard and (given.write_baseline or given.staged or given.since):
        raise UsageError("--shard takes all of what is judged; leave --staged, --since and --write-baseline out")
    base = git.base(root, given.since) if given.since else ""
    # Git is asked for several things at once: together they take as long as the rest of a quick run.
    with ThreadPoolExecutor(2) as pool:
        revision = pool.submit(git.revision, root)
        waiting = pool.submit(git.staged, root) if given.staged else None
        settings = _settings(given, root)
        kept = None if given.no_cache else cache.opened(identity.judges())
        changed = waiting.result() if waiting else git.since(root, base) if base else None
        verdict = _remembered(given, root, paths, changed, settings, kept)._replace(revision=revision.result())
    if base and verdict.counting:
        before = _at(base, given, root, kept)
        from gatekeeper import changes

        verdict = changes.apart(verdict, before, git.renames(root, base))
    if given.write_baseline:
        return _write_baseline(verdict, root, settings)
    for name, file in outputs:
        write(verdict, root, name, file)
        if name == "github":
            _summarise(verdict)
    return verdict.exit_code


def _at(commit: str, given: argparse.Namespace, root: Path, kept: cache.Cache | None) -> Verdict:
    """What the repository was at a commit, by its own config then."""
    # The commit says what its files are, its config among them: it has to be written out only to be judged.
    named = [Path(path).resolve() for path in (*given.policy, *([given.config] if given.config else []))]
    asked = repr((commit, str(datetime.date.today()), given.engine, list(map(str, named)))).encode()
    contents = (one for path in named for one in identity.contents_of(path))
    key = kept.key([b"commit", asked, *contents]) if kept else ""
    held = kept.read(key) if kept else None
    if held is not None:
        return verdicts.from_bytes(held)
    from gatekeeper import gate, sources

    with git.commit(root, commit) as copy:
        own = _with_flags(config.load(copy, given.config), given)
        settings = config.anchored(own, root)
        tree = sources.gather([copy], copy, settings.exclude)
        verdict = gate.judge(tree, settings, given.jobs, _progress(gate.STEPS), cache=kept)
        # What lies outside of the repository is of no commit, and may be another tomorrow.
        if kept and verdict.lasts and settings == own:
            kept.write(key, verdicts.to_bytes(verdict))
        return verdict


def _settings(given: argparse.Namespace, root: Path) -> config.Config:
    held = git.staged_file(root, config.NAME) if given.staged and not given.config else None
    if given.staged and not given.config:
        settings = config.Config() if held is None else config.read(held, config.NAME)
    else:
        settings = config.load(root, given.config)
    return _with_flags(settings, given)


def _with_flags(settings: config.Config, given: argparse.Namespace) -> config.Config:
    own = tuple(str(Path(folder).resolve()) for folder in given.policy)
    return settings._replace(engine=given.engine or settings.engine, policies=(*settings.policies, *own))


def _remembered(
    given: argparse.Namespace,
    root: Path,
    paths: list[Path],
    changed: frozenset[str] | None,
    settings: config.Config,
    kept: cache.Cache | None,
) -> Verdict:
    """The verdict of an earlier run on the same input, or a new one."""
    found = identity.of(root, settings, given.staged) if kept is not None else None
    if kept is None or found is None:
        return _judged(given, root, paths, changed, settings, kept, None)
    day, config_ = str(datetime.date.today()).encode(), repr(settings).encode()
    asked = repr(([str(path.resolve()) for path in paths], changed and sorted(changed), given.shard)).encode()
    key = kept.key([b"verdict", day, config_, asked, *found.parts])
    held = kept.read(key)
    if held is not None:
        return verdicts.from_bytes(held)
    is_whole = paths == [root] and not given.shard
    book = kept.key([b"ledger", day, config_, str(root).encode(), *found.around]) if is_whole else ""
    verdict = _quickly(given, root, changed, settings, kept, found, book) if book else None
    if verdict is None:

        def note(whole: gate.Whole, tree: sources.Tree) -> None:
            from gatekeeper import quick

            noted = quick.noted(whole, tree, settings, found.listing)
            if noted:
                kept.write(book, noted)

        # What differs from Git's listing is not what the ledger would be of.
        is_known = bool(book) and not found.differing
        verdict = _judged(given, root, paths, changed, settings, kept, note if is_known else None)
    if verdict.lasts:
        kept.write(key, verdicts.to_bytes(verdict))
    return verdict


def _quickly(
    given: argparse.Namespace,
    root: Path,
    changed: frozenset[str] | None,
    settings: config.Config,
    kept: cache.Cache,
    found: identity.Input,
    book: str,
) -> Verdict | None:
    """The verdict by the changed files alone, where the last run on everything knows enough."""
    from gatekeeper import ledger

    held = kept.read(book)
    known = ledger.from_bytes(held) if held else None
    files = ledger.changed(known, found.listing, found.differing) if known else None
    # The index is judged: where the work tree differs from it, the file at hand is another.
    if known is None or files is None or (given.staged and git.differs(root, files)):
        return None
    from gatekeeper import quick

    return quick.judge(root, known, files, changed, settings, given.jobs, kept)


def _judged(
    given: argparse.Namespace,
    root: Path,
    paths: list[Path],
    changed: frozenset[str] | None,
    settings: config.Config,
    kept: cache.Cache | None,
    note: gate.Note | None,
) -> Verdict:
    # What judges takes longer to load than to look up what is known.
    from gatekeeper import gate, lock, sources, tools

    tools.follow(lock.load(root))

    def judge(root: Path, paths: list[Path], settings: config.Config) -> Verdict:
        tree = sources.gather(paths, root, settings.exclude)
        part = shards.parse(given.shard) if given.shard else shards.WHOLE
        verdict = gate.judge(tree, settings, given.jobs, _progress(gate.STEPS), None, changed, kept, part, note)
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")
        return verdict

    if not given.staged or git.is_as_staged(root):
        return judge(root, paths, settings)
    with git.index(root) as copy:
        return judge(copy, [copy], config.anchored(settings, root))


def output(text: str) -> tuple[str, Path | None]:
    """A format as it is asked for, `NAME` or `NAME=FILE`."""
    name, _, file = text.partition("=")
    if name not in FORMATS:
        raise UsageError(f"--format {name}: there are {', '.join(FORMATS)}")
    return name, Path(file) if file else None


def write(verdict: Verdict, root: Path, name: str, file: Path | None) -> None:
    """Writes one report, to standard output where no file is named."""
    if file is None:
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        sys.stdout.write(render(name, verdict, root, colour))
        return
    files.write(file, render(name, verdict, root).encode())


def _write_baseline(verdict: Verdict, root: Path, settings: config.Config) -> int:
    """Writes the baseline, unless something could not be judged: what is not known cannot be taken as known."""
    from gatekeeper import baseline

    if verdict.word == "incomplete":
        raise UsageError("no baseline was written: something could not be judged; mend that first (gatekeeper check)")
    count = baseline.write(verdict.findings, root / settings.baseline, settings, datetime.date.today())
    sys.stdout.write(f"{settings.baseline}: {count} findings are known from now on\n")
    return 0


def _summarise(verdict: Verdict) -> None:
    """Adds to the job's summary, where GitHub Actions says which file that is."""
    from gatekeeper.report.github import summary

    target = os.environ.get("GITHUB_STEP_SUMMARY")
    if target:
        with Path(target).open("a", encoding="utf-8") as handle:
            handle.write(summary(verdict))


def _progress(steps: Sequence[str]) -> gate.Progress:
    """A bar on a terminal, once a run takes longer than a moment; it is gone when the run ends."""
    if not sys.stderr.isatty():
        return lambda step, part: None
    began = time.monotonic()

    def say(step: str, part: float) -> None:
        seconds = time.monotonic() - began
        if seconds > QUIET_SECONDS:
            sys.stderr.write(
                f"\r\033[K{bar(steps.index(step) / len(steps) + part / len(steps))} {step} ({seconds:.0f} s)\r"
            )
            sys.stderr.flush()

    return say


def bar(part: float) -> str:
    """How far a run is, from 0 to 1."""
    filled = int(BAR * part)
    return f"[{'#' * filled}{'.' * (BAR - filled)}]"
