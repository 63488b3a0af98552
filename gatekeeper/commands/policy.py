"""`gatekeeper policy`: the rules that come with the product, and the tests of anybody's rules."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from gatekeeper import config
from gatekeeper.engines.rego import library
from gatekeeper.engines.rego.library import Rule
from gatekeeper.errors import UsageError

EXAMPLES = """examples:
  gatekeeper policy list
  gatekeeper policy docs > RULES.md
  gatekeeper policy test policy/
  gatekeeper policy test --engine opa --data policy/data.json policy/

`policy test` runs `test_...` rules, and judges bad*.yaml and good*.yaml beside a rule: it must find something in each
bad one and nothing in a good one. Exit status: 0 all passed, 1 some failed, 3 some could not be run.
"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        prog="gatekeeper policy",
        description="List or document the rules of the library, or test rules.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("action", choices=("list", "docs", "test"))
    options.add_argument("paths", nargs="*", metavar="PATH", help="`test`: policies and their tests")
    options.add_argument("--engine", choices=config.CHOICES["engine"], help="`test`: instead of the config's `engine`")
    options.add_argument("--data", action="append", default=[], metavar="FILE", help="`test`: data for the policies")
    return options


def policy(arguments: list[str]) -> int:
    """Runs the command."""
    given = parser().parse_intermixed_args(arguments)
    if given.action == "test":
        return _test(given.paths, given.data, given.engine)
    if given.paths:
        raise UsageError(f"policy {given.action} takes no path")
    for rule in library.rules()[0]:
        sys.stdout.write(_line(rule) if given.action == "list" else _page(rule))
    return 0


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


def _test(paths: list[str], data: list[str], engine: str | None) -> int:
    from gatekeeper.engines.rego import trials

    if not paths:
        raise UsageError("policy test needs a PATH: a folder or file with policies and their tests")
    here = Path.cwd()
    settings = config.load(config.root_of(here), None)
    settings = settings._replace(engine=engine or settings.engine)
    done = trials.run(here, paths, data, settings, os.cpu_count() or 1)
    for trial in done:
        if not trial.passed:
            sys.stdout.write(f"{'ERROR' if trial.error else 'FAIL'}  {trial.name}{trial.error and ': '}{trial.error}\n")
    failed = sum(not trial.passed for trial in done)
    sys.stdout.write(f"{len(done) - failed} passed, {failed} failed, with {settings.engine}\n")
    return 3 if any(trial.error for trial in done) else int(failed > 0)
