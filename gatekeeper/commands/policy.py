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
from gatekeeper.engines.rego.library import Rule
from gatekeeper.errors import PolicyError, UsageError
from gatekeeper.host import atomic_file, lockfile, toolchain
from gatekeeper.report import junit

if TYPE_CHECKING:
    from gatekeeper.engines.rego.coverage import Covered

EXAMPLES = """examples:
  gatekeeper policy list
  gatekeeper policy docs > RULES.md
  gatekeeper policy pull
  gatekeeper policy pull git+https://git.example.com/policies.git@v1.2.0
  gatekeeper policy test policy/
  gatekeeper policy test --engine opa --data policy/data.json policy/
  gatekeeper policy test --threshold 90 --junit policy.xml policy/

`policy test` runs `test_...` rules and gator's suites, and judges bad*.yaml and good*.yaml beside a rule: it must find
something in each bad one and nothing in a good one. Exit status: 0 all passed, 1 some failed, 3 some could not be run.
"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        prog="gatekeeper policy",
        description="List or document the rules of the library, test rules, or fetch bundles of rules.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("action", choices=("list", "docs", "test", "pull"))
    options.add_argument("paths", nargs="*", metavar="PATH", help="`test`: policies and tests; `pull`: sources")
    options.add_argument("--engine", choices=config.CHOICES["engine"], help="`test`: instead of the config's `engine`")
    options.add_argument("--data", action="append", default=[], metavar="FILE", help="`test`: data for the policies")
    options.add_argument("--junit", type=Path, metavar="FILE", help="`test`: write the outcome as JUnit's XML too")
    options.add_argument("--coverage", action="store_true", help="`test`: tell which lines and rules tests reach")
    options.add_argument(
        "--threshold", type=float, metavar="PERCENT", help="`test`: fail where tests reach less of the lines"
    )
    return options


def policy(arguments: list[str]) -> int:
    """Runs the command."""
    given = parser().parse_intermixed_args(arguments)
    if given.action == "test":
        return _test(given)
    if given.action == "pull":
        return _pull(given.paths)
    if given.paths:
        raise UsageError(f"policy {given.action} takes no path")
    for rule in library.rules()[0]:
        sys.stdout.write(_line(rule) if given.action == "list" else _page(rule))
    return 0


def _pull(sources: Sequence[str]) -> int:
    """Fetches the bundles of the config, or those named, and prints their digests."""
    from gatekeeper.engines.rego import bundles
    from gatekeeper.engines.rego.bundles import Bundle

    root = config.root_of(Path.cwd())
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


def _line(rule: Rule) -> str:
    standards = ", ".join(rule.standards)
    return f"{rule.name:<36} {rule.severity:<8} {rule.profile:<8} {rule.title} ({standards})\n"


def _page(rule: Rule) -> str:
    known = library.links()
    serves = [(standard, library.link(standard, known)) for standard in rule.standards]
    standards = ", ".join(f"[{standard}]({link})" if link else standard for standard, link in serves)
    facts = f"Severity {rule.severity}, profile {rule.profile}; judges {', '.join(rule.kinds) or 'every kind'}."
    return (
        f"## {rule.name}\n\n{rule.title}. {facts}\n\n{rule.reason}\n\n"
        f"Remedy: {rule.remedy}.\n\nServes: {standards}.\n\n"
    )


def _test(given: argparse.Namespace) -> int:
    from gatekeeper.engines.admission import gator_suites
    from gatekeeper.engines.rego import coverage, policy_tests
    from gatekeeper.engines.rego.policy_tests import Run

    if not given.paths:
        raise UsageError("policy test needs a PATH: a folder or file with policies and their tests")
    here = Path.cwd()
    toolchain.follow(lockfile.load(config.root_of(here)))
    settings = config.load(config.root_of(here), None)
    settings = settings._replace(engine=given.engine or settings.engine)
    jobs = os.cpu_count() or 1
    found = gator_suites.find(here, given.paths)
    # A folder of gator's suites may hold no Rego file at all.
    folders = [path for path in given.paths if not found or any((here / path).rglob("*.rego"))]
    run = policy_tests.run(here, folders, given.data, settings, jobs) if folders else Run([], [])
    done = [*run.trials, *gator_suites.run(here, found, settings, jobs)]
    if not done:
        kinds = "`test_...` rules, bad*.yaml and good*.yaml beside a rule, gator suites"
        raise PolicyError(f"{', '.join(given.paths)}: no test there (there may be {kinds})")
    for trial in done:
        if not trial.passed:
            words = trial.error or trial.said
            sys.stdout.write(f"{'ERROR' if trial.error else 'FAIL'}  {trial.name}{words and ': '}{words}\n")
    failed = sum(not trial.passed for trial in done)
    sys.stdout.write(f"{len(done) - failed} passed, {failed} failed, with {settings.engine}\n")
    if given.junit:
        atomic_file.write(given.junit, junit.of_tests(done).encode())
    low = False
    if given.coverage or given.threshold is not None:
        covered = coverage.measure(run.asked, settings)
        sys.stdout.write(_covered(covered, given.threshold))
        low = given.threshold is not None and coverage.percent(covered) < given.threshold
    return 3 if any(trial.error for trial in done) else int(failed > 0 or low)


def _covered(covered: Sequence[Covered], threshold: float | None) -> str:
    """What tests reach, by file; lines and rules that none reaches are named."""
    from gatekeeper.engines.rego import coverage

    lines = []
    for file in covered:
        missed = f"; not reached: lines {_ranges(file.missed)}" if file.missed else ""
        untried = ", ".join(f"{name} (line {line})" for name, line in file.untried)
        lines.append(
            f"{coverage.percent([file]):6.1f} %  {file.path}{missed}{f'; no test of {untried}' if untried else ''}"
        )
    rules = sum(len(file.rules) for file in covered)
    tried = rules - sum(len(file.untried) for file in covered)
    total = coverage.percent(covered)
    below = f", below the threshold of {threshold:g} %" if threshold is not None and total < threshold else ""
    return "\n".join([*lines, f"{total:6.1f} %  of all lines{below}; {tried} of {rules} rules are tried"]) + "\n"


def _ranges(numbers: Collection[int]) -> str:
    """Numbers as people list them: `3, 5-7`."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
