"""The report for GitHub Actions: commands that no message can break, and the summary of the job."""

from __future__ import annotations

import os
import re
from pathlib import Path

from gatekeeper.model import Coverage, Gap
from gatekeeper.report import github
from tests.conftest import Repository, command
from tests.gate.test_pipeline import DEPLOYMENT
from tests.report.verdicts import EMPTY, ERROR, FULL, PAST


def test_github_commands_are_escaped(tmp_path: Path) -> None:
    first, *_, last = github.render(FULL, tmp_path).splitlines()
    assert first == (
        "::error file=a b/é.yaml,line=2,col=8,title=images/latest-tag::"
        "Pod prod/web: 50%25 | a <b>,%0Anew: line%0Amend it"
    )
    assert last == "gatekeeper: incomplete"
    pattern = re.compile(r"::(error|warning|notice) file=[^,:]+(,line=\d+)?(,col=\d+)?,title=[^,:]+::.+")
    assert all(pattern.fullmatch(line) for line in github.render(FULL, tmp_path).splitlines()[:-1])


def test_a_message_cannot_add_a_command_separate() -> None:
    hostile = ERROR._replace(
        message="x\n::add-mask::y\r\n::error::z", location=ERROR.location._replace(file="a,line=1::b\n.yaml")
    )
    gap = Gap("c\n::stop-commands::d", "e\n::warning::f", is_fatal=True)
    text = github.render(EMPTY._replace(findings=(hostile,), coverage=Coverage(1, 1, 1, (gap,))), Path())
    assert [line.split("::")[1].partition(" ")[0] for line in text.splitlines()[:-1]] == ["error", "error"]
    assert "file=a%2Cline=1%3A%3Ab%0A.yaml,line=2," in text


def test_githubs_summary_is_a_table_that_no_message_breaks() -> None:
    text = github.render_summary(FULL)
    assert "## gatekeeper: incomplete" in text
    assert "| error | images/latest-tag | `a b/é.yaml:2` | 50% \\| a &lt;b>, new: line |" in text
    assert "- `d.yaml`: cannot be read" in text


def test_the_summary_counts_waived_and_old_findings_apart() -> None:
    assert "1 error, 1 waived, 1 from before the change; 5 files, 2 resources." in github.render_summary(PAST)
    assert "nothing found; 1 files, 1 resources." in github.render_summary(EMPTY)


def test_the_summary_says_how_many_findings_it_leaves_out() -> None:
    many = tuple(ERROR._replace(location=ERROR.location._replace(line=line)) for line in range(github.MAX_ROWS + 3))
    text = github.render_summary(FULL._replace(findings=many))
    assert text.count("| error |") == github.MAX_ROWS
    assert "\nand 3 more\n" in text


def test_the_summary_goes_where_github_wants_it(repository: Repository, tmp_path: Path) -> None:
    target = tmp_path / "summary.md"
    target.write_text("before\n")
    root = repository({"a.yaml": DEPLOYMENT, "gatekeeper.yaml": ""})
    code, out, _ = command("check", "--format", "github", root, env={**os.environ, "GITHUB_STEP_SUMMARY": str(target)})
    assert code == 1
    assert out.startswith("::error file=a.yaml,line=11,col=16,title=images/latest-tag::Deployment web: ")
    assert target.read_text().startswith("before\n## gatekeeper: refused\n")
