"""Suites in gator's format: a template, a constraint, and cases that say how many violations an object must have.

Source: https://open-policy-agent.github.io/gatekeeper/website/docs/gator#writing-test-suites.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gatekeeper.config import Config
from gatekeeper.engines.admission import admission_request, constraint_templates, constraints, selectors
from gatekeeper.engines.admission.constraints import Constraint, ConstraintEvaluator
from gatekeeper.engines.admission.selectors import NamespaceIndex
from gatekeeper.engines.rego import policy_tests
from gatekeeper.engines.rego.policy_tests import PolicyTestOutcome
from gatekeeper.errors import PolicyError, ToolError
from gatekeeper.model import Resource
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import list_files_below

SUITE_API_VERSION = "test.gatekeeper.sh/v1alpha1"
KNOWN_FIELDS = {
    "suite": ("apiVersion", "kind", "metadata", "skip", "tests"),
    "test": ("name", "template", "constraint", "expansion", "invalid", "skip", "cases"),
    "case": ("name", "skip", "object", "inventory", "assertions"),
    "assertion": ("violations", "message"),
}
ARTICLES = {"suite": "a suite", "test": "a test", "case": "a case", "assertion": "an assertion"}
Messages = Sequence[str]
YAML_SUFFIXES = (".yaml", ".yml")


def find_suites(root: Path, paths: Sequence[str]) -> list[Path]:
    """All suites below some paths."""
    files: list[Path] = []
    for name in paths:
        listed = list_files_below(root / name, YAML_SUFFIXES)
        files.extend(
            file
            for file in listed
            if file.suffix in documents.EXTENSIONS and SUITE_API_VERSION.encode() in _read_file(file)
        )
    return files


def run_suites(root: Path, suites: Sequence[Path], config: Config, jobs: int) -> list[PolicyTestOutcome]:
    """Runs suites; what is skipped by its suite is left out."""
    return [trial for suite in suites for trial in _run_suite(suite, _to_relative_name(suite, root), config, jobs)]


def _run_suite(file: Path, name: str, config: Config, jobs: int) -> Iterator[PolicyTestOutcome]:
    try:
        [suite] = [value for value in _parse_documents(file) if value.get("apiVersion") == SUITE_API_VERSION] or [{}]
        _reject_unknown_fields(suite, "suite")
        tests = _read_entries(suite, "tests", "test")
    except (PolicyError, ValueError) as error:
        yield PolicyTestOutcome(name, False, str(error))
        return
    for test in tests if not suite.get("skip") else ():
        if not test.get("skip"):
            yield from _run_test(file.parent, f"{name}: {test.get('name')}", test, config, jobs)


def _run_test(
    folder: Path, name: str, test: Mapping[str, Any], config: Config, jobs: int
) -> Iterator[PolicyTestOutcome]:
    try:
        cases = _read_entries(test, "cases", "case")
        if test.get("expansion"):
            raise PolicyError("`expansion` is not known here: cases are judged as they stand")
        one = _read_constraint(folder, test)
        ConstraintEvaluator([one], [], config, jobs).close()
    except (PolicyError, ToolError) as error:
        yield PolicyTestOutcome(name, bool(test.get("invalid")), "" if test.get("invalid") else str(error))
        return
    if test.get("invalid"):
        yield PolicyTestOutcome(name, False)
        return
    for case in cases:
        if not case.get("skip"):
            yield _run_case(folder, f"{name}: {case.get('name')}", one, case, config, jobs)


def _read_constraint(folder: Path, test: Mapping[str, Any]) -> Constraint:
    template = constraint_templates.parse_template(_read_object(folder, test, "template"))
    found = constraints.parse_constraint(_read_object(folder, test, "constraint"), {template.kind: template})
    if found is None:
        raise PolicyError("none of the constraint's enforcement points is here")
    return found


def _run_case(
    folder: Path, name: str, constraint: Constraint, case: Mapping[str, Any], config: Config, jobs: int
) -> PolicyTestOutcome:
    try:
        others = [
            resource
            for file in case.get("inventory") or []
            for resource in policy_tests.read_case(folder / file, str(file))
        ]
        said = _evaluate_constraint(constraint, _read_object(folder, case, "object"), others, config, jobs)
        assertions = _read_entries(case, "assertions", "assertion") or [{"violations": "no"}]
        wrong = [words for assertion in assertions if (words := _describe_failure(assertion, said))]
    except (PolicyError, ToolError) as error:
        return PolicyTestOutcome(name, False, str(error))
    return PolicyTestOutcome(name, not wrong, message="; ".join(wrong))


def _evaluate_constraint(
    constraint: Constraint, document: Resource, inventory: Sequence[Resource], config: Config, jobs: int
) -> Messages:
    """The messages of a constraint on one object, or on the object of an AdmissionReview."""
    if document.ref.kind == "AdmissionReview":
        resource, request = admission_request.parse_review(document.value, document)
    else:
        resource, request = document, admission_request.build_request(document.ref, document.json)
    try:
        if not constraint.match.is_match(resource, NamespaceIndex([*inventory, resource])):
            return []
    except selectors.UnknownNamespaceError as error:
        raise PolicyError(str(error)) from error
    engine = ConstraintEvaluator([constraint], inventory, config, jobs)
    try:
        answers = engine.evaluate_requests([(0, next(iter(engine.build_rule_queries())), request, resource.json)])
    finally:
        engine.close()
    for answer in answers:
        if answer.error:
            raise PolicyError(answer.error)
    return [item["msg"] if isinstance(item, dict) else str(item) for answer in answers for item in answer.value]


def _describe_failure(assertion: Mapping[str, Any], messages: Messages) -> str:
    """Why an assertion does not hold; empty where it does."""
    wanted, pattern = assertion.get("violations"), assertion.get("message")
    try:
        count = sum(1 for message in messages if pattern is None or re.search(str(pattern), message))
    except re.error as error:
        raise PolicyError(f"the message {pattern!r} is no regular expression: {error}") from error
    # YAML's yes and no are booleans.
    wanted = "yes" if wanted is None or wanted is True else "no" if wanted is False else wanted
    if wanted not in ("yes", "no") and not isinstance(wanted, int):
        raise PolicyError(f"`violations` is {wanted!r}; it can be yes, no or a number")
    met = count > 0 if wanted == "yes" else count == (0 if wanted == "no" else wanted)
    like = f" like {pattern!r}" if pattern is not None else ""
    return "" if met else f"wanted {wanted} violations{like}, got {count}: {list(messages)}"


def _read_entries(value: Mapping[str, Any], field: str, kind: str) -> list[Mapping[str, Any]]:
    entries = value.get(field) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise PolicyError(f"`{field}` must be a list of mappings")
    for entry in entries:
        _reject_unknown_fields(entry, kind)
    return entries


def _reject_unknown_fields(value: Mapping[str, Any], kind: str) -> None:
    for field in value.keys() - set(KNOWN_FIELDS[kind]):
        raise PolicyError(f"{ARTICLES[kind]} knows no field `{field}`; there are {', '.join(KNOWN_FIELDS[kind])}")


def _read_object(folder: Path, holder: Mapping[str, Any], field: str) -> Resource:
    name = holder.get(field)
    if not isinstance(name, str):
        raise PolicyError(f"`{field}` must name a file")
    found = policy_tests.read_case(folder / name, name)
    if len(found) != 1:
        raise PolicyError(f"{name}: must hold exactly one object, not {len(found)}")
    return found[0]


def _parse_documents(file: Path) -> list[dict[str, Any]]:
    parsed, failure = documents.parse(_read_file(file))
    if failure:
        raise PolicyError(f"{failure[1]}:{failure[2]}: cannot be read: {failure[0]}")
    return [value for value in map(documents.to_value, parsed) if isinstance(value, dict)]


def _read_file(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise PolicyError(f"{file.name}: cannot be read: {error.strerror or error}") from error


def _to_relative_name(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()
