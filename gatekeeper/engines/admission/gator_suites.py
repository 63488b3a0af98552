"""Runs test suites of gator: a template, a constraint, and cases with the number of violations of an object.

Source: https://open-policy-agent.github.io/gatekeeper/website/docs/gator#writing-test-suites.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gatekeeper.config import Config
from gatekeeper.engines import policy_files
from gatekeeper.engines.admission import admission_request, constraint_templates, constraints
from gatekeeper.engines.admission.constraint_evaluator import ConstraintEvaluator, ConstraintRequest
from gatekeeper.engines.admission.model import Constraint
from gatekeeper.engines.admission.policy_fields import read_mappings, read_text, reject_unknown_fields
from gatekeeper.engines.admission.selectors import NamespaceIndex, UnknownNamespaceError
from gatekeeper.engines.rego import policy_tests
from gatekeeper.engines.rego.policy_tests import PolicyTestOutcome
from gatekeeper.errors import PolicyError, ToolError
from gatekeeper.gocompat import regexp
from gatekeeper.model import Resource
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.workspace.tree import list_files_below

SUITE_API_VERSION = "test.gatekeeper.sh/v1alpha1"
SUITE_FIELDS = frozenset({"apiVersion", "kind", "metadata", "skip", "tests"})
TEST_FIELDS = frozenset({"name", "template", "constraint", "expansion", "invalid", "skip", "cases"})
CASE_FIELDS = frozenset({"name", "skip", "object", "inventory", "assertions"})
ASSERTION_FIELDS = frozenset({"violations", "message"})
SUITE_SUFFIXES = (".yaml", ".yml")
Messages = Sequence[str]


class SuiteContext(NamedTuple):
    """What the tests of a suite share: the folder of its files, the config and the number of threads."""

    folder: Path
    config: Config
    jobs: int


def find_suites(root: Path, paths: Sequence[str]) -> list[Path]:
    """Finds all suites below some paths.

    Raises:
        PolicyError: a file cannot be read.
    """
    files = [file for path in paths for file in list_files_below(root / path, SUITE_SUFFIXES)]
    return [
        file
        for file in files
        if file.suffix in SUITE_SUFFIXES and SUITE_API_VERSION.encode() in policy_files.read_bytes(file, file.name)
    ]


def run_suites(root: Path, suites: Sequence[Path], config: Config, jobs: int) -> list[PolicyTestOutcome]:
    """Runs suites; what a suite skips has no outcome."""
    return [
        outcome
        for suite in suites
        for outcome in _run_suite(
            suite, policy_files.format_name(suite, root), SuiteContext(suite.parent, config, jobs)
        )
    ]


def _run_suite(file: Path, name: str, context: SuiteContext) -> Iterator[PolicyTestOutcome]:
    try:
        values = policy_files.parse_values(policy_files.read_bytes(file, file.name), file.name)
        suites = [value for value in values if isinstance(value, dict) and value.get("apiVersion") == SUITE_API_VERSION]
        if len(suites) > 1:
            raise PolicyError(f"{file.name}: contains {len(suites)} suites; write one suite per file")
        suite: Mapping[str, Any] = suites[0] if suites else {}
        reject_unknown_fields(suite, SUITE_FIELDS, "the suite")
        tests = _read_entries(suite, "tests", TEST_FIELDS, "a test")
    except PolicyError as error:
        yield PolicyTestOutcome(name, False, str(error))
        return
    for test in tests if not suite.get("skip") else ():
        if not test.get("skip"):
            yield from _run_test(f"{name}: {test.get('name')}", test, context)


def _run_test(name: str, test: Mapping[str, Any], context: SuiteContext) -> Iterator[PolicyTestOutcome]:
    must_fail = bool(test.get("invalid"))
    try:
        cases = _read_entries(test, "cases", CASE_FIELDS, "a case")
        if test.get("expansion"):
            raise PolicyError("`expansion` is not supported: cases are evaluated without expansion")
        constraint = _read_constraint(context.folder, test)
        ConstraintEvaluator([constraint], [], context.config, context.jobs).close()
    except (PolicyError, ToolError) as error:
        yield PolicyTestOutcome(name, must_fail, "" if must_fail else str(error))
        return
    if must_fail:
        yield PolicyTestOutcome(name, False, message="the suite says `invalid`, but the constraint is valid")
        return
    for case in cases:
        if not case.get("skip"):
            yield _run_case(f"{name}: {case.get('name')}", constraint, case, context)


def _read_constraint(folder: Path, test: Mapping[str, Any]) -> Constraint:
    template = constraint_templates.parse_template(_read_object(folder, test, "template"))
    constraint = constraints.parse_constraint(_read_object(folder, test, "constraint"), {template.kind: template})
    if constraint is None:
        raise PolicyError("the constraint has no enforcement point for gator")
    return constraint


def _run_case(name: str, constraint: Constraint, case: Mapping[str, Any], context: SuiteContext) -> PolicyTestOutcome:
    try:
        inventory = [
            resource
            for file in case.get("inventory") or []
            for resource in policy_tests.read_case(context.folder / file, str(file))
        ]
        document = _read_object(context.folder, case, "object")
        messages = _evaluate_constraint(constraint, document, inventory, context)
        assertions = _read_entries(case, "assertions", ASSERTION_FIELDS, "an assertion") or [{"violations": "no"}]
        failures = [failure for assertion in assertions if (failure := _describe_failure(assertion, messages))]
    except (PolicyError, ToolError) as error:
        return PolicyTestOutcome(name, False, str(error))
    return PolicyTestOutcome(name, not failures, message="; ".join(failures))


def _evaluate_constraint(
    constraint: Constraint, document: Resource, inventory: Sequence[Resource], context: SuiteContext
) -> Messages:
    """Returns the messages of a constraint on an object, or on the object of an AdmissionReview."""
    if document.ref.kind == "AdmissionReview":
        resource, request = admission_request.parse_review(document.value, document)
    else:
        resource, request = document, admission_request.build_request(document.ref, document.json)
    try:
        if not constraint.match.is_match(resource, NamespaceIndex([*inventory, resource])):
            return []
    except UnknownNamespaceError as error:
        raise PolicyError(str(error)) from error
    evaluator = ConstraintEvaluator([constraint], inventory, context.config, context.jobs)
    try:
        query = next(iter(evaluator.build_rule_queries()))
        results = evaluator.evaluate_requests([ConstraintRequest(0, query, request, resource.json)])
    finally:
        evaluator.close()
    for result in results:
        if result.error:
            raise PolicyError(result.error)
    return [item["msg"] if isinstance(item, dict) else str(item) for result in results for item in result.value]


def _describe_failure(assertion: Mapping[str, Any], messages: Messages) -> str:
    """Describes why an assertion does not hold; empty if it holds."""
    expected, pattern = assertion.get("violations"), assertion.get("message")
    compiled = regexp.compile_pattern("" if pattern is None else str(pattern))
    if compiled is None:
        raise PolicyError(f"the message {pattern!r} is not a Go regular expression (RE2)")
    count = sum(1 for message in messages if compiled.search(message))
    # YAML's yes and no are booleans.
    expected = "yes" if expected is None or expected is True else "no" if expected is False else expected
    if expected not in ("yes", "no") and not isinstance(expected, int):
        raise PolicyError(f"`violations` is {expected!r}; it can be yes, no or a number")
    holds = count > 0 if expected == "yes" else count == (0 if expected == "no" else expected)
    like = f" like {pattern!r}" if pattern is not None else ""
    return "" if holds else f"expected {expected} violations{like}, got {count}: {list(messages)}"


def _read_entries(
    holder: Mapping[str, Any], field: str, known_fields: frozenset[str], name: str
) -> list[Mapping[str, Any]]:
    entries = read_mappings(holder, field)
    for entry in entries:
        reject_unknown_fields(entry, known_fields, name)
    return entries


def _read_object(folder: Path, holder: Mapping[str, Any], field: str) -> Resource:
    """Reads the only object of the file that a field names."""
    name = read_text(holder, field)
    resources = policy_tests.read_case(folder / name, name)
    if len(resources) != 1:
        raise PolicyError(f"{name}: must contain exactly one object, not {len(resources)}")
    return resources[0]
