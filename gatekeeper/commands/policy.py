"""`gatekeeper policy`: lists and documents the rules of the library, creates and tests rules, fetches bundles."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper import config
from gatekeeper.engines.rego import library, rule_scaffold
from gatekeeper.engines.rego.library import LibraryRule
from gatekeeper.errors import PolicyError, UsageError
from gatekeeper.host import atomic_file
from gatekeeper.report import junit
from gatekeeper.terminal.options import create_parser
from gatekeeper.workspace import config_loader
from gatekeeper.workspace.tree import list_files_below

if TYPE_CHECKING:
    from gatekeeper.engines.rego.coverage import FileCoverage

EXAMPLES = """examples:
  gatekeeper policy list
  gatekeeper policy docs > RULES.md
  gatekeeper policy new --policy policy/ images/signed
  gatekeeper policy pull
  gatekeeper policy pull git+https://git.example.com/policies.git@v1.2.0
  gatekeeper policy test policy/
  gatekeeper policy test --engine opa --data policy/data.json policy/
  gatekeeper policy test --threshold 90 --junit policy.xml policy/

`policy new` creates the folder CATEGORY/RULE with rule.rego, bad.yaml and good.yaml: an example to edit.

`policy test` runs `test_...` rules, gator suites and kyverno-test.yaml. It also checks the files bad*.yaml and
good*.yaml in the folder of a rule: the rule must report each bad file and no good file.
Exit status: 0 all tests passed, 1 some failed, 2 wrong usage, 3 some could not be run.
"""


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the options."""
    parser = create_parser(
        "policy", "List or document the rules of the library, create or test rules, or fetch policy bundles.", EXAMPLES
    )
    parser.add_argument("action", choices=("list", "docs", "new", "test", "pull"))
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="with test: files or folders with policies and their tests; with new: CATEGORY/RULE; with pull: sources",
    )
    parser.add_argument(
        "--policy",
        type=Path,
        metavar="DIR",
        help="with new: policy folder (default: first of `policies.paths`, or the library in a checkout of Gatekeeper)",
    )
    parser.add_argument(
        "--engine",
        choices=config_loader.ALLOWED_VALUES["engine"],
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
    """Runs the command.

    Raises:
        UsageError: an option is missing or not allowed.
        PolicyError: policies cannot be loaded or fetched, or there is no test.
    """
    args = build_parser().parse_intermixed_args(arguments)
    if args.action == "test":
        return _run_tests(args)
    if args.action == "pull":
        return _pull_bundles(args.paths)
    if args.action == "new":
        return _create_rules(args.paths, args.policy)
    if args.paths:
        raise UsageError(f"policy {args.action} takes no PATH; remove it")
    for rule in library.load_rules()[0]:
        sys.stdout.write(_format_line(rule) if args.action == "list" else _format_page(rule))
    return 0


def _create_rules(names: Sequence[str], folder: Path | None) -> int:
    """Creates the files of new rules, and prints their paths and what to do with them."""
    if not names:
        raise UsageError("policy new needs a name: CATEGORY/RULE, such as images/latest-tag")
    if folder is None and not Path.cwd().is_relative_to(library.PACKAGED_FOLDER.parents[1]):
        folder = _find_policy_folder()
    for name in names:
        created = rule_scaffold.create_rule(name, folder)
        sys.stdout.writelines(f"created  {path}\n" for path in created)
        helpers = "" if folder else f"--data {library.PACKAGED_FOLDER / 'lib'} "
        sys.stdout.write(f"next     edit these files, then run `gatekeeper policy test {helpers}{created[0].parent}`\n")
    if folder is not None and not _is_policy_folder(folder):
        sys.stdout.write(
            f"next     add `{folder}` to `policies.paths` in {config.CONFIG_FILE}, so that `gatekeeper check` uses it\n"
        )
    return 0


def _find_policy_folder() -> Path:
    """The first policy folder of the repository around the current folder; raises UsageError if it names none."""
    root = config_loader.find_root(Path.cwd())
    inner = [path for path in config_loader.load(root, None).policies if (root / path).resolve().is_relative_to(root)]
    if not inner:
        raise UsageError(
            "policy new: name your policy folder with --policy DIR, "
            f"or list it under `policies.paths` in {config.CONFIG_FILE}"
        )
    return Path(os.path.relpath(root / inner[0]))


def _is_policy_folder(folder: Path) -> bool:
    """Whether the configuration of the repository around a folder names it, or a folder around it, for policies."""
    root = config_loader.find_root(folder.resolve())
    named = config_loader.load(root, None).policies
    return any(folder.resolve().is_relative_to((root / path).resolve()) for path in named)


def _pull_bundles(sources: Sequence[str]) -> int:
    """Fetches the given bundles, by default those of the configuration, and prints their digests."""
    # Only `pull` needs Git and signature verification, which load slowly.
    from gatekeeper.engines.rego.bundles import resolver
    from gatekeeper.engines.rego.bundles.bundle_files import Bundle

    root = config_loader.find_root(Path.cwd())
    requested = [Bundle(source, "", "") for source in sources]
    configured = [
        Bundle(entry.get("source", ""), entry.get("digest", ""), "") for entry in config_loader.load(root, None).bundles
    ]
    if not (requested or configured):
        raise UsageError(
            "policy pull: gatekeeper.yaml has no `policies.bundles`; give the source of a bundle to print its digest"
        )
    status = 0
    for bundle in requested or configured:
        digest = resolver.pull(root, bundle)
        changed = bool(bundle.digest) and bundle.digest != digest
        sys.stdout.write(
            f"{digest}  {bundle.source}{'  (differs from the digest in gatekeeper.yaml)' if changed else ''}\n"
        )
        status = 1 if changed else status
    return status


def _format_line(rule: LibraryRule) -> str:
    standards = ", ".join(rule.standards)
    return f"{rule.name:<36} {rule.severity:<8} {rule.profile:<8} {rule.title} ({standards})\n"


def _format_page(rule: LibraryRule) -> str:
    links = library.load_standard_links()
    linked = [(standard, library.find_standard_link(standard, links)) for standard in rule.standards]
    standards = ", ".join(f"[{standard}]({link})" if link else standard for standard, link in linked)
    facts = f"Severity {rule.severity}, profile {rule.profile}; checks {', '.join(rule.kinds) or 'all kinds'}."
    return (
        f"## {rule.name}\n\n{rule.title}. {facts}\n\n{rule.description}\n\n"
        f"Remedy: {rule.remedy}.\n\nStandards: {standards}.\n\n"
    )


def _run_tests(args: argparse.Namespace) -> int:
    # `list` and `docs` evaluate nothing: they do not wait for the engines to load.
    from gatekeeper.engines.admission import gator_suites
    from gatekeeper.engines.admission.kyverno import suites as kyverno_suites
    from gatekeeper.engines.rego import coverage, policy_tests
    from gatekeeper.engines.rego.policy_tests import PolicyTestRun

    if not args.paths:
        raise UsageError("policy test needs a PATH: a folder or file with policies and their tests")
    here = Path.cwd()
    settings = config_loader.load(config_loader.find_root(here), None)
    settings = settings._replace(engine=args.engine or settings.engine)
    jobs = os.cpu_count() or 1
    suites = gator_suites.find_suites(here, args.paths)
    kyverno_files = kyverno_suites.find_suites(here, args.paths)
    # A folder with suites may contain no Rego file.
    folders = [path for path in args.paths if not (suites or kyverno_files) or _has_rego(here / path)]
    run = policy_tests.run_tests(here, folders, args.data, settings, jobs) if folders else PolicyTestRun([], [])
    results = [
        *run.results,
        *gator_suites.run_suites(here, suites, settings, jobs),
        *kyverno_suites.run_suites(here, kyverno_files),
    ]
    if not results:
        kinds = "`test_...` rules, bad*.yaml and good*.yaml in the folder of a rule, gator suites, kyverno-test.yaml"
        raise PolicyError(f"{', '.join(args.paths)}: contains no test; tests are {kinds}")
    for result in results:
        if not result.passed:
            message = result.error or result.message
            sys.stdout.write(f"{'ERROR' if result.error else 'FAIL'}  {result.name}{message and ': '}{message}\n")
    failed = sum(not result.passed for result in results)
    sys.stdout.write(f"{len(results) - failed} passed, {failed} failed, with {settings.engine}\n")
    if args.junit:
        atomic_file.write(args.junit, junit.render_policy_tests(results).encode())
    is_below = False
    if args.coverage or args.threshold is not None:
        covered = coverage.measure(run.query_batches, settings)
        sys.stdout.write(_format_coverage(covered, args.threshold))
        is_below = args.threshold is not None and coverage.compute_percent(covered) < args.threshold
    return 3 if any(result.error for result in results) else int(failed > 0 or is_below)


def _has_rego(path: Path) -> bool:
    return any(file.suffix == ".rego" for file in list_files_below(path))


def _format_coverage(file_coverages: Sequence[FileCoverage], threshold: float | None) -> str:
    """Formats the coverage of each file, with the lines and rules that no test reaches."""
    # As above: only `test` needs the engines.
    from gatekeeper.engines.rego import coverage

    lines = []
    for file in file_coverages:
        missed = f"; not reached: lines {_format_ranges(file.missed_lines)}" if file.missed_lines else ""
        untested = ", ".join(f"{name} (line {line})" for name, line in file.untested_rules)
        lines.append(
            f"{coverage.compute_percent([file]):6.1f} %  "
            f"{file.path}{missed}{f'; without a test: {untested}' if untested else ''}"
        )
    rules = sum(len(file.rules) for file in file_coverages)
    tested = rules - sum(len(file.untested_rules) for file in file_coverages)
    total = coverage.compute_percent(file_coverages)
    below = f", below the threshold of {threshold:g} %" if threshold is not None and total < threshold else ""
    return "\n".join([*lines, f"{total:6.1f} %  of all lines{below}; {tested} of {rules} rules are tested"]) + "\n"


def _format_ranges(numbers: Collection[int]) -> str:
    """Formats numbers as ranges: `3, 5-7`."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
