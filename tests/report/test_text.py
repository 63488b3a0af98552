"""The report for people, as it is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.model import Coverage, Finding, Gap, Location, ObjectRef, Verdict
from gatekeeper.report import text

REF = ObjectRef("v1", "Pod", "prod", "web")
FINDING = Finding(
    "images/latest-tag", "error", "no version", Location("a.yaml", 2, 8), REF, ("spec",), "write one", "traced"
)


def test_a_finding_shows_its_line_with_a_caret_then_sums_coverage_and_the_verdict(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Pod\nimage: web:latest\n")
    verdict = Verdict((FINDING,), Coverage(2, 1, 1, (Gap("b.yaml", "no Kubernetes resource"),)))
    assert (
        text.render(verdict, tmp_path)
        == """\
a.yaml:2:8: error: no version [images/latest-tag]
    2 | image: web:latest
               ^
      = Pod prod/web, line found by tracing the rule
      = help: write one

by rule:
      1  images/latest-tag
by file:
      1  a.yaml

checked: 2 files, 1 resource (1 against a schema)
skipped, does not affect the verdict:
  b.yaml: no Kubernetes resource
refused: 1 error
"""
    )


def test_empty_result_is_reported(tmp_path: Path) -> None:
    assert text.render(Verdict(coverage=Coverage(1, 1, 1)), tmp_path) == (
        "checked: 1 file, 1 resource (1 against a schema)\naccepted: nothing found\n"
    )


def test_fatal_gap_outweighs_findings(tmp_path: Path) -> None:
    verdict = Verdict((FINDING,), Coverage(1, 1, 0, (Gap("b.yaml", "cannot be read", is_fatal=True),)))
    report = text.render(verdict, tmp_path)
    assert "not checked:\n  b.yaml: cannot be read\n" in report
    assert report.endswith("incomplete: 1 error, 1 not checked\n")


def test_a_line_that_a_rule_about_secrets_points_to_is_not_shown_by_any_rule(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Pod\npassword: hunter2\n")
    leak = Finding("secrets/env-literal", "error", "a secret", Location("a.yaml", 2, 1), REF)
    report = text.render(Verdict((FINDING, leak), Coverage()), tmp_path)
    assert "hunter2" not in report


def test_colours_are_only_for_terminals(tmp_path: Path) -> None:
    verdict = Verdict((FINDING,), Coverage())
    assert "\033[" in text.render(verdict, tmp_path, colour=True)
    assert "\033[" not in text.render(verdict, tmp_path)


@pytest.mark.parametrize(("column", "shown", "caret"), [(1, "abcdefghij", 0), (5, "abcdefghij", 4), (6001, "...", 123)])
def test_a_long_line_is_cut_around_its_column(tmp_path: Path, column: int, shown: str, caret: int) -> None:
    (tmp_path / "a.yaml").write_text("abcdefghij" * 100_000 + "\n")
    found = FINDING._replace(location=Location("a.yaml", 1, column))
    _, line, mark, *_ = text.render(Verdict((found,)), tmp_path).splitlines()
    assert line.startswith(f"    1 | {shown}") and line.endswith("...") and len(line) < 320
    assert mark == " " * (8 + caret) + "^"
    assert line[8 + caret] == "abcdefghij"[(column - 1) % 10]


def test_a_long_message_is_cut(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: 1\nb: 2\n")
    first = text.render(Verdict((FINDING._replace(message="x" * 10_000_000),)), tmp_path).splitlines()[0]
    assert first.endswith("x... (10,000,000 characters) [images/latest-tag]") and len(first) < 4200
