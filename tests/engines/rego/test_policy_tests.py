"""Tests of policies: a rule must find its bad cases and nothing in its good ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.config import Config
from gatekeeper.engines.rego import policy_tests
from gatekeeper.errors import PolicyError
from tests.conftest import needs

RULE = 'package team\nimport rego.v1\ndeny contains "short" if count(input.metadata.name) < data.limit\n'
CASE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n"
TEST = "package team_test\nimport rego.v1\ntest_good if 1 == 1\ntest_bad if 1 == 2\ntest_undefined if input.none\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p").mkdir()
    for name, text in (
        ("team.rego", RULE),
        ("data.yaml", "limit: 3\n"),
        ("bad.yaml", CASE.replace("NAME", "a")),
        ("good.yaml", CASE.replace("NAME", "long")),
    ):
        (tmp_path / "p" / name).write_text(text)
    return tmp_path


def run(folder: Path, engine: str = "embedded") -> dict[str, tuple[bool, str]]:
    results = policy_tests.run_tests(folder, ["p"], [], Config(engine=engine), 1).results
    return {result.name: (result.passed, result.error) for result in results}


@pytest.mark.parametrize("engine", ["embedded", pytest.param("opa", marks=needs("opa"))])
def test_a_bad_case_needs_a_finding_and_a_good_one_none(folder: Path, engine: str) -> None:
    assert run(folder, engine) == {"p/bad.yaml": (True, ""), "p/good.yaml": (True, "")}
    (folder / "p" / "bad-2.yaml").write_text(CASE.replace("NAME", "long"))
    (folder / "p" / "good-2.yaml").write_text(CASE.replace("NAME", "a"))
    outcome = run(folder, engine)
    assert outcome["p/bad-2.yaml"] == outcome["p/good-2.yaml"] == (False, "")


def test_a_rego_test_passes_only_if_it_is_true(folder: Path) -> None:
    (folder / "p" / "team_test.rego").write_text(TEST)
    outcome = {name.rpartition(" ")[2]: passed for name, (passed, _) in run(folder).items() if "test_" in name}
    assert outcome == {"test_good": True, "test_bad": False, "test_undefined": False}


def test_a_case_that_cannot_be_evaluated_has_not_passed(folder: Path) -> None:
    (folder / "p" / "team.rego").write_text(
        "package team\nimport rego.v1\nx := 1 if input.kind\nx := 2 if input.kind\ndeny contains x if true\n"
    )
    for passed, error in run(folder).values():
        assert not passed and "could not be evaluated" in error


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("bad.yaml", "a: [", "not valid YAML"),
        ("bad.tfplan.json", "{}", "not a Terraform file or plan"),
    ],
)
def test_a_case_that_cannot_be_read_is_an_error(folder: Path, name: str, text: str, reason: str) -> None:
    (folder / "p" / name).write_text(text)
    with pytest.raises(PolicyError, match=reason):
        run(folder)
