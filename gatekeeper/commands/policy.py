"""`gatekeeper policy`: the rules that come with the product, and the tests of anybody's rules."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper import config
from gatekeeper.engines.rego import library
from gatekeeper.engines.rego.library import LibraryRule
from gatekeeper.errors import PolicyError, UsageError
from gatekeeper.host import atomic_file
from gatekeeper.report import junit
from gatekeeper.terminal.options import create_parser

if TYPE_CHECKING:
    from gatekeeper.engines.rego.coverage import FileCoverage

EXAMPLES = """examples:
  gatekeeper policy list
  gatekeeper policy docs > RULES.md
  gatekeeper policy pull
  gatekeeper policy pull git+https://git.example.com/policies.git@v1.2.0
  gatekeeper policy test policy/
  gatekeeper policy test --engine opa --data policy/data.json policy/
  gatekeeper policy test --threshold 90 --junit policy.xml policy/

`policy test` runs `test_...` rules and gator suites. It also checks the files bad*.yaml and good*.yaml in the folder of
a rule: the rule must report each bad file and no good file.
Exit status: 0 all tests passed, 1 some failed, 2 wrong usage, 3 some could not be run.
"""


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the options."""
    parser = create_parser(
        "policy", "List or document the rules of the library, test rules, or fetch policy bundles.", EXAMPLES
    )
    parser.add_argument("action", choices=("list", "docs", "test", "pull"))
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="with test: files or folders with policies and their tests; with pull: sources of bundles",
    )
    parser.add_argument(
        "--engine",
        choices=config.ALLOWED_VALUES["engine"],
        help="with test: policy engine (default: `engine` of the config)",
    )
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="FILE",
        help="with test: data file for the policies; can be repeated",
    )
    parser.add_argument(
        "--junit", type=Path, metavar="FILE", help="with test: also write the results to this file, as JUnit XML"
    )
    parser.add_argument(
        "--coverage", action="store_true", help="with test: print the lines and rules that no test reaches"
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="PERCENT",
        help="with test: fail if the tests reach less than this percentage of the lines",
    )
    return parser


def policy(arguments: list[str]) -> int:
    """Runs the command."""
    given = build_parser().parse_intermixed_args(arguments)
    if given.action == "test":
        return _run_tests(given)
    if given.action == "pull":
        return _pull_bundles(given.paths)
    if given.paths:
        raise UsageError(f"policy {given.action} takes no path")
    for rule in library.load_rules()[0]:
        sys.stdout.write(_format_line(rule) if given.action == "list" else _format_page(rule))
    return 0


def _pull_bundles(sources: Sequence[str]) -> int:
    """Fetches the bundles of the config, or those named, and prints their digests."""
    from gatekeeper.engines.rego import bundles
    from gatekeeper.engines.rego.bundle_files import Bundle

    root = config.find_root(Path.cwd())
    named = [Bundle(source, "", "") for source in sources]
    known = [Bundle(one.get("source", ""), one.get("digest", ""), "") for one in config.load(root, None).bundles]
    if not (named or known):
        raise UsageError("policy pull: gatekeeper.yaml has no `policies.bundles`; name a source to see its digest")
    status = 0
    for bundle in named or known:
        digest = bundles.pull(root, bundle)
        changed = bool(bundle.digest) and bundle.digest != digest
        sys.stdout.write(f"{digest}  {bundle.source}{'  (not what the config pins)' if changed else ''}\n")
        status = 1 if changed else status
    return status


def _format_line(rule: LibraryRule) -> str:
    standards = ", ".join(rule.standards)
    return f"{rule.name:<36} {rule.severity:<8} {rule.profile:<8} {rule.title} ({standards})\n"


def _format_page(rule: LibraryRule) -> str:
    known = library.load_standard_links()
    serves = [(standard, library.find_standard_link(standard, known)) for standard in rule.standards]
    standards = ", ".join(f"[{standard}]({link})" if link else standard for standard, link in serves)
    facts = f"Severity {rule.severity}, profile {rule.profile}; judges {', '.join(rule.kinds) or 'every kind'}."
    return (
        f"## {rule.name}\n\n{rule.title}. {facts}\n\n{rule.description}\n\n"
        f"Remedy: {rule.remedy}.\n\nServes: {standards}.\n\n"
    )


def _run_tests(args: argparse.Namespace) -> int:
    from gatekeeper.engines.admission import gator_suites
    from gatekeeper.engines.rego import coverage, policy_tests
    from gatekeeper.engines.rego.policy_tests import PolicyTestRun

    if not args.paths:
        raise UsageError("policy test needs a PATH: a folder or file with policies and their tests")
    here = Path.cwd()
    settings = config.load(config.find_root(here), None)
    settings = settings._replace(engine=args.engine or settings.engine)
    jobs = os.cpu_count() or 1
    found = gator_suites.find_suites(here, args.paths)
    # A folder of gator's suites may hold no Rego file at all.
    folders = [path for path in args.paths if not found or any((here / path).rglob("*.rego"))]
    run = policy_tests.run_tests(here, folders, args.data, settings, jobs) if folders else PolicyTestRun([], [])
    done = [*run.results, *gator_suites.run_suites(here, found, settings, jobs)]
    if not done:
        kinds = "`test_...` rules, bad*.yaml and good*.yaml beside a rule, gator suites"
        raise PolicyError(f"{', '.join(args.paths)}: no test there (there may be {kinds})")
    for trial in done:
        if not trial.passed:
            words = trial.error or trial.message
            sys.stdout.write(f"{'ERROR' if trial.error else 'FAIL'}  {trial.name}{words and ': '}{words}\n")
    failed = sum(not trial.passed for trial in done)
    sys.stdout.write(f"{len(done) - failed} passed, {failed} failed, with {settings.engine}\n")
    if args.junit:
        atomic_file.write(args.junit, junit.render_policy_tests(done).encode())
    low = False
    if args.coverage or args.threshold is not None:
        covered = coverage.measure(run.query_batches, settings)
        sys.stdout.write(_format_coverage(covered, args.threshold))
        low = args.threshold is not None and coverage.compute_percent(covered) < args.threshold
    return 3 if any(trial.error for trial in done) else int(failed > 0 or low)


def _format_coverage(file_coverages: Sequence[FileCoverage], threshold: float | None) -> str:
    """What tests reach, by file; lines and rules that none reaches are named."""
    from gatekeeper.engines.rego import coverage

    lines = []
    for file in file_coverages:
        missed = f"; not reached: lines {_format_ranges(file.missed_lines)}" if file.missed_lines else ""
        untried = ", ".join(f"{name} (line {line})" for name, line in file.untested_rules)
        lines.append(
            f"{coverage.compute_percent([file]):6.1f} %  "
            f"{file.path}{missed}{f'; no test of {untried}' if untried else ''}"
        )
    rules = sum(len(file.rules) for file in file_coverages)
    tried = rules - sum(len(file.untested_rules) for file in file_coverages)
    total = coverage.compute_percent(file_coverages)
    below = f", below the threshold of {threshold:g} %" if threshold is not None and total < threshold else ""
    return "\n".join([*lines, f"{total:6.1f} %  of all lines{below}; {tried} of {rules} rules are tried"]) + "\n"


def _format_ranges(numbers: Collection[int]) -> str:
    """Numbers as people list them: `3, 5-7`."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
