"""How much of policies their tests reach: lines and rules, the same story from both engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.engines.rego.coverage import list_rules
from tests.conftest import command, needs

RULE = """package team

import rego.v1

deny contains "short" if {
	count(input.metadata.name) < 3
	input.kind == "ConfigMap"
}

deny contains "long" if {
	count(input.metadata.name) > 9
	is_map
}

is_map if input.kind == "ConfigMap"
"""
CASE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "team.rego").write_text(RULE)
    (tmp_path / "bad.yaml").write_text(CASE.replace("NAME", "a"))
    return tmp_path


@pytest.mark.parametrize("engine", ["embedded", pytest.param("opa", marks=needs("opa"))])
def test_uncovered_lines_are_reported(folder: Path, engine: str) -> None:
    code, out, _ = command("policy", "test", "--coverage", "--engine", engine, folder)
    assert code == 0
    assert "is_map (line 15)" in out and "of 3 rules are tested" in out
    assert "12" in out.partition("not reached: lines ")[2]


@pytest.mark.parametrize("engine", ["embedded", pytest.param("opa", marks=needs("opa"))])
def test_complete_tests_cover_every_line(folder: Path, engine: str) -> None:
    (folder / "bad-long.yaml").write_text(CASE.replace("NAME", "a-name-of-letters"))
    code, out, _ = command("policy", "test", "--coverage", "--threshold", "100", "--engine", engine, folder)
    assert code == 0 and "100.0 %  of all lines; 3 of 3 rules are tested" in out


def test_less_than_the_threshold_fails(folder: Path) -> None:
    code, out, _ = command("policy", "test", "--threshold", "95", folder)
    assert code == 1 and "below the threshold of 95 %" in out


def test_the_outcome_as_junit(folder: Path) -> None:
    (folder / "good.yaml").write_text(CASE.replace("NAME", "b"))
    target = folder / "out.xml"
    assert command("policy", "test", "--junit", target, folder)[0] == 1
    text = target.read_text()
    assert '<testsuite name="gatekeeper policy test" tests="2" failures="1" errors="0">' in text


def test_rules_and_their_lines() -> None:
    assert list(list_rules(RULE)) == [("deny", 5, 9), ("deny", 10, 14), ("is_map", 15, 15)]
