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
from gatekeeper.engines.admission.constraints import Constraint, Constraints
from gatekeeper.engines.admission.selectors import Namespaces
from gatekeeper.engines.rego import policy_tests
from gatekeeper.engines.rego.policy_tests import Trial
from gatekeeper.errors import PolicyError, ToolError
from gatekeeper.model import Resource
from gatekeeper.workspace import documents

API = "test.gatekeeper.sh/v1alpha1"
FIELDS = {
    "suite": ("apiVersion", "kind", "metadata", "skip", "tests"),
    "test": ("name", "template", "constraint", "expansion", "invalid", "skip", "cases"),
    "case": ("name", "skip", "object", "inventory", "assertions"),
    "assertion": ("violations", "message"),
}
ARTICLES = {"suite": "a suite", "test": "a test", "case": "a case", "assertion": "an assertion"}
Messages = Sequence[str]


def find(root: Path, paths: Sequence[str]) -> list[Path]:
    """All suites below some paths."""
    files: list[Path] = []
    for name in paths:
        start = root / name
        listed = [start] if start.is_file() else sorted(start.rglob("*.y*ml"))
        files.extend(file for file in listed if file.suffix in documents.EXTENSIONS and API.encode() in _bytes(file))
    return files


def run(root: Path, suites: Sequence[Path], config: Config, jobs: int) -> list[Trial]:
    """Runs suites; what is skipped by its suite is left out."""
    return [trial for suite in suites for trial in _suite(suite, _named(suite, root), config, jobs)]


def _suite(file: Path, name: str, config: Config, jobs: int) -> Iterator[Trial]:
    try:
        [suite] = [value for value in _values(file) if value.get("apiVersion") == API] or [{}]
        _known(suite, "suite")
        tests = _entries(suite, "tests", "test")
    except (PolicyError, ValueError) as error:
        yield Trial(name, False, str(error))
        return
    for test in tests if not suite.get("skip") else ():
        if not test.get("skip"):
            yield from _test(file.parent, f"{name}: {test.get('name')}", test, config, jobs)


def _test(folder: Path, name: str, test: Mapping[str, Any], config: Config, jobs: int) -> Iterator[Trial]:
    try:
        cases = _entries(test, "cases", "case")
        if test.get("expansion"):
            raise PolicyError("`expansion` is not known here: cases are judged as they stand")
        one = _constraint(folder, test)
        Constraints([one], [], config, jobs).close()
    except (PolicyError, ToolError) as error:
        yield Trial(name, bool(test.get("invalid")), "" if test.get("invalid") else str(error))
        return
    if test.get("invalid"):
        yield Trial(name, False)
        return
    for case in cases:
        if not case.get("skip"):
            yield _case(folder, f"{name}: {case.get('name')}", one, case, config, jobs)


def _constraint(folder: Path, test: Mapping[str, Any]) -> Constraint:
    template = constraint_templates.read(_one(folder, test, "template"))
    found = constraints.read(_one(folder, test, "constraint"), {template.kind: template})
    if found is None:
        raise PolicyError("none of the constraint's enforcement points is here")
    return found


def _case(folder: Path, name: str, one: Constraint, case: Mapping[str, Any], config: Config, jobs: int) -> Trial:
    try:
        others = [
            resource
            for file in case.get("inventory") or []
            for resource in policy_tests.resources(folder / file, str(file))
        ]
        said = _judge(one, _one(folder, case, "object"), others, config, jobs)
        assertions = _entries(case, "assertions", "assertion") or [{"violations": "no"}]
        wrong = [words for assertion in assertions if (words := _unmet(assertion, said))]
    except (PolicyError, ToolError) as error:
        return Trial(name, False, str(error))
    return Trial(name, not wrong, said="; ".join(wrong))


def _judge(one: Constraint, written: Resource, others: Sequence[Resource], config: Config, jobs: int) -> Messages:
    """The messages of a constraint on one object, or on the object of an AdmissionReview."""
    if written.ref.kind == "AdmissionReview":
        resource, request = admission_request.from_review(written.value, written)
    else:
        resource, request = written, admission_request.of(written.ref, written.json)
    try:
        if not one.match.chooses(resource, Namespaces([*others, resource])):
            return []
    except selectors.Unknown as error:
        raise PolicyError(str(error)) from error
    engine = Constraints([one], others, config, jobs)
    try:
        answers = engine.review([(0, next(iter(engine.asked())), request, resource.json)])
    finally:
        engine.close()
    for answer in answers:
        if answer.error:
            raise PolicyError(answer.error)
    return [item["msg"] if isinstance(item, dict) else str(item) for answer in answers for item in answer.value]


def _unmet(assertion: Mapping[str, Any], said: Messages) -> str:
    """Why an assertion does not hold; empty where it does."""
    wanted, pattern = assertion.get("violations"), assertion.get("message")
    try:
        count = sum(1 for message in said if pattern is None or re.search(str(pattern), message))
    except re.error as error:
        raise PolicyError(f"the message {pattern!r} is no regular expression: {error}") from error
    # YAML's yes and no are booleans.
    wanted = "yes" if wanted is None or wanted is True else "no" if wanted is False else wanted
    if wanted not in ("yes", "no") and not isinstance(wanted, int):
        raise PolicyError(f"`violations` is {wanted!r}; it can be yes, no or a number")
    met = count > 0 if wanted == "yes" else count == (0 if wanted == "no" else wanted)
    like = f" like {pattern!r}" if pattern is not None else ""
    return "" if met else f"wanted {wanted} violations{like}, got {count}: {list(said)}"


def _entries(value: Mapping[str, Any], field: str, what: str) -> list[Mapping[str, Any]]:
    entries = value.get(field) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise PolicyError(f"`{field}` must be a list of mappings")
    for entry in entries:
        _known(entry, what)
    return entries


def _known(value: Mapping[str, Any], what: str) -> None:
    for field in value.keys() - set(FIELDS[what]):
        raise PolicyError(f"{ARTICLES[what]} knows no field `{field}`; there are {', '.join(FIELDS[what])}")


def _one(folder: Path, holder: Mapping[str, Any], field: str) -> Resource:
    name = holder.get(field)
    if not isinstance(name, str):
        raise PolicyError(f"`{field}` must name a file")
    found = policy_tests.resources(folder / name, name)
    if len(found) != 1:
        raise PolicyError(f"{name}: must hold exactly one object, not {len(found)}")
    return found[0]


def _values(file: Path) -> list[dict[str, Any]]:
    parsed, failure = documents.parse(_bytes(file))
    if failure:
        raise PolicyError(f"{failure[1]}:{failure[2]}: cannot be read: {failure[0]}")
    return [value for value in map(documents.value_of, parsed) if isinstance(value, dict)]


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise PolicyError(f"{file.name}: cannot be read: {error.strerror or error}") from error


def _named(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()
