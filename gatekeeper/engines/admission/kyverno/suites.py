"""Runs Kyverno's test suites (`kyverno-test.yaml`) with Kyverno's own test command.

Source: `cli.kyverno.io/v1alpha1` Test, and Kyverno `cmd/cli/kubectl-kyverno/commands/test`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gatekeeper.engines import policy_files
from gatekeeper.engines.admission.kyverno.program import open_suite_program
from gatekeeper.engines.admission.kyverno.results import PROGRAM
from gatekeeper.engines.rego.policy_tests import PolicyTestOutcome
from gatekeeper.errors import PolicyError, ToolError
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.model import get_field
from gatekeeper.upstream.answers import decode_answer
from gatekeeper.workspace import documents
from gatekeeper.workspace.tree import list_files_below

FILE_NAMES = ("kyverno-test.yaml", "kyverno-test.yml")
SUITE_API_VERSION = b"cli.kyverno.io/"
PASSED = "Pass"
CASE_FIELDS = ("POLICY", "RULE", "RESOURCE", "RESULT", "REASON", "MESSAGE")
SUITE_SECONDS = 120.0
# Links to another server, and what only a registry of images can answer.
REMOTE_FIELD = compile_lazily(rb"^\s*-?\s*(?:https?|git)://", re.MULTILINE)
# A policy and its rule; `ANY_RULE` for all of its rules.
PolicyRule = tuple[str, str]
ANY_RULE = "*"
# Kyverno's reasons of results without an evaluation.
NOT_FOUND = "Not found"
UNEVALUATED = (NOT_FOUND, "Excluded")
NOT_FOUND_TEXT = "Not found: Kyverno has no result for a policy, rule and resource of these names"
NO_CONNECTION = compile_lazily(r"operation not permitted|connections are forbidden")


def find_suites(root: Path, paths: Sequence[str]) -> list[Path]:
    """Finds all suites below some paths.

    Raises:
        PolicyError: a file cannot be read.
    """
    files = [file for path in paths for file in list_files_below(root / path, (".yaml", ".yml"))]
    return [
        file
        for file in files
        if file.name in FILE_NAMES and SUITE_API_VERSION in policy_files.read_bytes(file, file.name)
    ]


def run_suites(root: Path, suites: Sequence[Path]) -> list[PolicyTestOutcome]:
    """Runs suites: an outcome for each expected result, and an error for a suite that cannot be run."""
    return [outcome for suite in suites for outcome in _run_suite(suite, policy_files.format_name(suite, root))]


def _run_suite(file: Path, name: str) -> Iterator[PolicyTestOutcome]:
    try:
        text = policy_files.read_bytes(file, file.name)
        if REMOTE_FIELD.search(text):
            raise PolicyError("it names files of another server, and tests open no connection")
        answer = open_suite_program().call("test", {"path": str(file.resolve())}, SUITE_SECONDS)
        cases, fault = decode_answer(_decode_suite, answer, PROGRAM)
    except (PolicyError, ToolError) as error:
        yield PolicyTestOutcome(name, False, str(error))
        return
    refused = {_get_rule(case) for case in cases if NO_CONNECTION.search(case["MESSAGE"])}
    refused |= set(_find_registry_rules(file, text))
    for case in cases:
        yield _build_outcome(name, case, refused)
    if fault:
        yield PolicyTestOutcome(name, False, fault)


def _decode_suite(answer: Mapping[str, Any]) -> tuple[list[dict[str, str]], str]:
    return [{field: str(case[field]) for field in CASE_FIELDS} for case in answer["cases"] or ()], str(answer["fault"])


def _get_rule(case: Mapping[str, Any]) -> PolicyRule:
    return case["POLICY"], case["RULE"]


def _build_outcome(name: str, case: Mapping[str, Any], refused: Collection[PolicyRule]) -> PolicyTestOutcome:
    title = f"{name}: {'/'.join(filter(None, _get_rule(case)))} on {case['RESOURCE']}"
    passed = case["RESULT"] == PASSED
    is_refused = _get_rule(case) in refused and case["REASON"] not in UNEVALUATED
    # Without a connection, verification ends as an error, which no suite expects.
    if is_refused or (not passed and (case["POLICY"], ANY_RULE) in refused):
        return PolicyTestOutcome(title, False, "it needs the registry of the images, and tests open no connection")
    reason = NOT_FOUND_TEXT if case["REASON"] == NOT_FOUND else case["REASON"]
    return PolicyTestOutcome(title, passed, message="" if passed else reason)


def _find_registry_rules(file: Path, suite: bytes) -> Iterator[PolicyRule]:
    """The rules of a suite that read image data which its values do not give, and the policies that verify images."""
    for value in _list_values(suite):
        policies = get_field(value, ("policies",))
        values = file.parent / str(get_field(value, ("variables",)) or "")
        given = suite + (policy_files.read_bytes(values, values.name) if values.is_file() else b"")
        for entry in policies if isinstance(policies, list) else ():
            path = file.parent / str(entry)
            for policy in _list_values(path.read_bytes()) if path.is_file() else ():
                yield from _list_registry_rules(policy, given)


def _list_values(content: bytes) -> list[Any]:
    """The documents of a file; those that cannot be parsed are errors of Kyverno's command."""
    return [documents.to_value(document) for document in documents.parse(content)[0]]


def _list_registry_rules(policy: Any, given: bytes) -> Iterator[PolicyRule]:
    name = str(get_field(policy, ("metadata", "name")))
    if str(get_field(policy, ("kind",))).endswith("ImageValidatingPolicy"):
        yield name, ANY_RULE
    rules = get_field(policy, ("spec", "rules"))
    for rule in rules if isinstance(rules, list) else ():
        for variable in _list_image_variables(rule):
            if not re.search(rb"(?m)(?:^|[\s{,\"'])" + re.escape(variable.encode()) + rb"[\"']?[.:]", given):
                yield name, str(get_field(rule, ("name",)))


def _list_image_variables(value: Any) -> Iterator[str]:
    """The variables of a rule and its loops that stand for data of images."""
    if isinstance(value, dict) and "imageRegistry" in value:
        yield str(value.get("name"))
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _list_image_variables(part)
