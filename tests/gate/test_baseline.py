"""The baseline: existing findings do not count, new ones do, and the baseline expires."""

from __future__ import annotations

import datetime
from pathlib import Path

import orjson
import pytest

from gatekeeper.gate import pipeline
from gatekeeper.model import Verdict
from gatekeeper.workspace import config_loader, file_selection
from tests.conftest import Repository, command
from tests.gate.test_pipeline import DEPLOYMENT, GOOD

NAME = "gatekeeper-baseline.json"


@pytest.fixture
def old(repository: Repository) -> Path:
    """A repository with a past, and its baseline."""
    root = repository({"gatekeeper.yaml": "", "old.yaml": DEPLOYMENT, "good.yaml": GOOD})
    assert command("check", "--write-baseline", cwd=root) == (
        0,
        f"{NAME}: 1 findings written; from now on only new findings count\n",
        "",
    )
    return root


def judged(root: Path, days: int = 0) -> Verdict:
    settings = config_loader.load(root, None)
    today = datetime.date.today() + datetime.timedelta(days=days)
    return pipeline.check_tree(
        file_selection.build_tree([root], root, settings.exclude), settings, pipeline.CheckOptions(today=today)
    )


def rules(verdict: Verdict) -> list[str]:
    return sorted(finding.rule for finding in verdict.active_findings)


def test_baseline_findings_do_not_count_and_are_shown(old: Path) -> None:
    code, out, _ = command("check", cwd=old)
    assert code == 0
    assert "waived until" in out and "known when the gate was introduced" in out
    assert out.endswith("accepted: 1 waived\n")


def test_baseline_finding_is_recognized_when_lines_move(old: Path) -> None:
    (old / "old.yaml").write_text("# a comment\n\n" + DEPLOYMENT)
    assert rules(judged(old)) == []


def test_new_finding_counts(old: Path) -> None:
    (old / "new.yaml").write_text(DEPLOYMENT.replace("web", "new"))
    assert rules(judged(old)) == ["images/latest-tag"]


def test_baseline_expires(old: Path) -> None:
    assert rules(judged(old, days=365)) == []
    assert rules(judged(old, days=366)) == ["images/latest-tag", "waivers/expired"]


def test_baseline_must_not_exceed_the_maximum_age(old: Path) -> None:
    (old / "gatekeeper.yaml").write_text("waivers: {maxDays: 30}\n")
    assert rules(judged(old)) == ["images/latest-tag", "waivers/too-long"]


def test_resolved_baseline_finding_is_reported_and_removed_on_rewrite(old: Path) -> None:
    (old / "old.yaml").write_text(DEPLOYMENT.replace("latest", "1.0"))
    verdict = judged(old)
    assert rules(verdict) == ["waivers/unused"]
    assert verdict.findings[0].message == "1 of 1 findings in the baseline are resolved"
    command("check", "--write-baseline", cwd=old)
    assert rules(judged(old)) == []
    assert orjson.loads((old / NAME).read_bytes())["findings"] == []


def test_second_leak_in_a_file_with_a_known_leak_counts(old: Path) -> None:
    first, second = (f"TOKEN=ghp_{text}Kd92LmQ0aZs81TbVwY3nPqRe5UiOcG4hJf\n" for text in ("x7", "b4"))
    (old / ".env").write_text(first)
    command("check", "--write-baseline", cwd=old)
    assert rules(judged(old)) == []
    (old / ".env").write_text(first + second)
    assert rules(judged(old)) == ["plaintext/github-token"] * 2
    command("check", "--write-baseline", cwd=old)
    assert rules(judged(old)) == []
    (old / ".env").write_text(second)
    assert rules(judged(old)) == ["waivers/unused"]
    assert judged(old).active_findings[0].message == "1 of 3 findings in the baseline are resolved"


def test_rewritten_baseline_keeps_current_findings(old: Path) -> None:
    before = (old / NAME).read_bytes()
    command("check", "--write-baseline", cwd=old)
    assert (old / NAME).read_bytes() == before


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": "gatekeeper/baseline/v9"}', '{"schema": "gatekeeper/baseline/v1"}']
)
def test_unusable_baseline_waives_nothing(old: Path, text: str) -> None:
    (old / NAME).write_text(text)
    assert "images/latest-tag" in rules(judged(old))
    assert "waivers/malformed" in rules(judged(old))


def test_no_baseline_is_written_if_the_verdict_is_incomplete(repository: Repository) -> None:
    root = repository({"a.yaml": "a: [1\n"})
    code, _, err = command("check", "--write-baseline", cwd=root)
    assert (code, "something could not be checked" in err, (root / NAME).exists()) == (2, True, False)


def test_baseline_requires_the_whole_repository(old: Path) -> None:
    code, _, err = command("check", "--write-baseline", "--since", "HEAD", cwd=old)
    assert (code, "needs the whole repository" in err) == (2, True)


def test_a_baseline_in_a_missing_folder_is_refused_with_what_to_do(repository: Repository) -> None:
    root = repository({"gatekeeper.yaml": "waivers: {baseline: ci/base.json}\n", "good.yaml": GOOD})
    code, out, err = command("check", "--write-baseline", cwd=root)
    assert (code, out) == (2, "") and "ci/base.json" in err and "create ci" in err
    (root / "ci" / "base.json").mkdir(parents=True)
    code, out, err = command("check", "--write-baseline", cwd=root)
    assert (code, out) == (2, "") and "no baseline was written" in err and "Traceback" not in err
