"""The report for GitLab: issues as its Code Quality format requires them."""

from __future__ import annotations

from pathlib import Path

import orjson

from gatekeeper.model import Coverage, Gap, Location
from gatekeeper.report import gitlab
from tests.report.verdicts import ERROR, FULL, PAST


def test_gitlabs_issues_have_what_gitlab_needs(tmp_path: Path) -> None:
    issues = orjson.loads(gitlab.render(FULL, tmp_path))
    assert [issue["severity"] for issue in issues] == ["critical", "minor", "info", "blocker"]
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)
    assert all(issue["location"]["lines"]["begin"] >= 1 for issue in issues)


def test_waived_and_old_findings_are_not_issues() -> None:
    issues = orjson.loads(gitlab.render(PAST, Path()))
    assert [issue["check_name"] for issue in issues] == ["images/latest-tag", "not-judged"]


def test_an_issue_keeps_its_fingerprint_when_its_line_moves() -> None:
    moved = ERROR._replace(location=ERROR.location._replace(line=40))
    before, after = (
        orjson.loads(gitlab.render(FULL._replace(findings=(finding,)), Path()))[0] for finding in (ERROR, moved)
    )
    assert before["fingerprint"] == after["fingerprint"]
    assert (before["location"]["lines"], after["location"]["lines"]) == ({"begin": 2}, {"begin": 40})


def test_a_gap_that_is_not_fatal_is_not_an_issue_and_a_finding_without_a_line_is_on_the_first() -> None:
    verdict = FULL._replace(
        findings=(ERROR._replace(location=Location("c.yaml")),), coverage=Coverage(1, 1, 1, (Gap("e.bin", "binary"),))
    )
    [issue] = orjson.loads(gitlab.render(verdict, Path()))
    assert issue["location"] == {"path": "c.yaml", "lines": {"begin": 1}}
    assert issue["description"].startswith("Pod prod/web: 50%")
