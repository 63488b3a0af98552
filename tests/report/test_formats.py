"""The contract of all report formats, and what they have in common."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from gatekeeper.model import Coverage, Verdict
from gatekeeper.report import formats
from tests.report.verdicts import EMPTY, ERROR, FULL


@pytest.mark.parametrize("name", formats.REPORT_FORMATS)
@pytest.mark.parametrize("verdict", [FULL, EMPTY], ids=["full", "empty"])
def test_every_format_is_the_same_each_time_and_ends_with_its_line(name: str, verdict: Verdict, tmp_path: Path) -> None:
    text = formats.render_report(name, verdict, tmp_path)
    assert text == formats.render_report(name, verdict, tmp_path)
    assert text.endswith("\n")


@pytest.mark.parametrize("name", [name for name in formats.REPORT_FORMATS if name != "policyreport"])
def test_every_format_reports_findings_and_what_was_not_checked(name: str, tmp_path: Path) -> None:
    text = formats.render_report(name, FULL, tmp_path)
    for words in ("images/latest-tag", "rbac/wildcard", "file only", "cannot be read"):
        assert words in text


def test_old_findings_do_not_count_in_any_format(tmp_path: Path) -> None:
    old = FULL._replace(findings=(ERROR._replace(is_preexisting=True),), coverage=Coverage(1, 1, 1))
    assert old.decision == "accepted" and old.exit_code == 0
    assert "::error" not in formats.render_report("github", old, tmp_path)
    assert "<failure" not in formats.render_report("junit", old, tmp_path)
    assert orjson.loads(formats.render_report("gitlab", old, tmp_path)) == []
