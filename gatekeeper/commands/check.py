"""`gatekeeper check`: judge files and print the verdict."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import time
from pathlib import Path

from gatekeeper import config, files, gate, git, sources
from gatekeeper.errors import UsageError
from gatekeeper.model import Verdict
from gatekeeper.report.every import FORMATS, render

QUIET_SECONDS = 2.0
BAR = 30
EXAMPLES = """examples:
  gatekeeper check
  gatekeeper check clusters/production
  gatekeeper check --staged                 in a pre-commit hook
  gatekeeper check --since origin/main      in a pull request
  gatekeeper check --format text --format json=verdict.json
  gatekeeper check --format github --format sarif=gatekeeper.sarif --format junit=gatekeeper.xml
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
    options.add_argument("--engine", choices=config.CHOICES["engine"], help="instead of the config's `engine`")
    options.add_argument("--policy", action="append", default=[], metavar="DIR", help="more policies")
    options.add_argument("--config", type=Path, metavar="FILE", help=f"instead of {config.NAME} in the root")
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="threads (default: cores)")
    options.add_argument(
        "--write-baseline",
        action="store_true",
        help="take all that is found as known from now on",
    )
    options.add_argument("--no-cache", action="store_true", help="accepted for scripts; nothing is cached yet")
    return options


def check(arguments: list[str]) -> int:
    """Runs the command."""
    given = parser().parse_intermixed_args(arguments)
    outputs = [_output(text) for text in given.format or ["text"]]
    if given.jobs < 1:
        raise UsageError("--jobs must be 1 or more")
    paths = given.paths or [Path.cwd()]
    root = config.root_of(paths[0].resolve())
    paths = given.paths or [root]
    if given.write_baseline and (given.paths or given.staged or given.since):
        raise UsageError("--write-baseline takes the whole repository; leave PATHs, --staged and --since out")
    if given.staged and given.paths:
        raise UsageError("--staged judges the whole index; leave the PATHs out")
    if given.staged:
        with git.index(root) as copy:
            return _judge(given, copy, [copy], git.staged(root), outputs, git.revision(root))
    changed = git.since(root, given.since) if given.since else None
    return _judge(given, root, paths, changed, outputs, git.revision(root))


def _judge(
    given: argparse.Namespace,
    root: Path,
    paths: list[Path],
    changed: frozenset[str] | None,
    outputs: list[tuple[str, Path | None]],
    revision: str | None,
) -> int:
    settings = config.load(root, given.config)
    own = tuple(str(Path(folder).resolve()) for folder in given.policy)
    settings = settings._replace(engine=given.engine or settings.engine, policies=(*settings.policies, *own))
    tree = sources.gather(paths, root, settings.exclude)
    verdict = gate.judge(tree, settings, given.jobs, _progress(), changed=changed)._replace(revision=revision)
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    if given.write_baseline:
        return _write_baseline(verdict, root, settings)
    for name, file in outputs:
        _write(verdict, root, name, file)
        if name == "github":
            _summarise(verdict)
    return verdict.exit_code


def _output(text: str) -> tuple[str, Path | None]:
    name, _, file = text.partition("=")
    if name not in FORMATS:
        raise UsageError(f"--format {name}: there are {', '.join(FORMATS)}")
    return name, Path(file) if file else None


def _write(verdict: Verdict, root: Path, name: str, file: Path | None) -> None:
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


def _progress() -> gate.Progress:
    """A bar on a terminal, once a run takes longer than a moment; it is gone when the run ends."""
    if not sys.stderr.isatty():
        return lambda step, part: None
    began = time.monotonic()

    def say(step: str, part: float) -> None:
        seconds = time.monotonic() - began
        if seconds > QUIET_SECONDS:
            sys.stderr.write(f"\r\033[K{bar(gate.STEPS.index(step), part)} {step} ({seconds:.0f} s)\r")
            sys.stderr.flush()

    return say


def bar(step: int, part: float) -> str:
    """How far a run is: all steps as equal parts of one bar."""
    filled = int(BAR * (step + part) / len(gate.STEPS))
    return f"[{'#' * filled}{'.' * (BAR - filled)}]"
