"""Runs Kyverno's test suites (`kyverno-test.yaml`) with Kyverno's own test command.

Source: `cli.kyverno.io/v1alpha1` Test, and Kyverno `cmd/cli/kubectl-kyverno/commands/test`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gatekeeper.engines import policy_files
from gatekeeper.engines.admission.kyverno.program import open_suite_program
from gatekeeper.engines.rego.policy_tests import PolicyTestOutcome
from gatekeeper.errors import PolicyError, ToolError
from gatekeeper.workspace.tree import list_files_below

FILE_NAMES = ("kyverno-test.yaml", "kyverno-test.yml")
SUITE_API_VERSION = b"cli.kyverno.io/"
PASSED = "Pass"
SUITE_SECONDS = 120.0
# Links to another server, and what only a registry of images can answer.
REMOTE_FIELD = re.compile(rb"^\s*-?\s*(?:https?|git)://", re.MULTILINE)
NO_CONNECTION = re.compile(r"operation not permitted|connections are forbidden")


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
        if REMOTE_FIELD.search(policy_files.read_bytes(file, file.name)):
            raise PolicyError("it names files of another server, and tests open no connection")
        answer = open_suite_program().call("test", {"path": str(file.resolve())}, SUITE_SECONDS)
    except (PolicyError, ToolError) as error:
        yield PolicyTestOutcome(name, False, str(error))
        return
    for case in answer["cases"] or ():
        yield _build_outcome(name, case)
    if answer["fault"]:
        yield PolicyTestOutcome(name, False, answer["fault"])


def _build_outcome(name: str, case: Mapping[str, Any]) -> PolicyTestOutcome:
    title = f"{name}: {'/'.join(filter(None, (case['POLICY'], case['RULE'])))} on {case['RESOURCE']}"
    passed = case["RESULT"] == PASSED
    if not passed and NO_CONNECTION.search(case["MESSAGE"]):
        return PolicyTestOutcome(title, False, "it needs the registry of the images, and tests open no connection")
    return PolicyTestOutcome(title, passed, message="" if passed else case["REASON"])
