"""The HTML report: whole in one file, safe for every content, and sorted for an auditor."""

from __future__ import annotations

import datetime
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.model import AppliedWaiver, Coverage, Finding, Gap, Location, ObjectRef, Verdict
from gatekeeper.report import html
from tests.conftest import Repository, command
from tests.gate.test_pipeline import DEPLOYMENT
from tests.workspace.test_file_selection import run_git

VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Checks that tags close, and gathers the text and what would be loaded or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        names = dict(attrs)
        if tag in ("script", "img", "link", "iframe") or any(name.startswith("on") for name in names):
            self.outside.append(tag)
        if not (names.get("href") or "#").startswith("#"):
            self.outside.append(str(names["href"]))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data + "\n"


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == [] and reader.outside == []
    return reader


def one(**changes: object) -> Finding:
    usual = Finding(
        "images/latest-tag",
        "error",
        "runs `x:latest`",
        Location("clusters/prod/a.yaml", 3, 1),
        ObjectRef("v1", "Pod", "n", "a"),
    )
    return usual._replace(**changes)  # type: ignore[arg-type]


@given(st.text(max_size=40))
def test_report_escapes_every_finding(words: str) -> None:
    hostile = f"<script>{words}</script>\"'&<img src=x onerror=y>"
    place = Location(f"{hostile}.yaml", 1, 1)
    waived = AppliedWaiver(hostile, "2027-01-01", hostile, hostile, place)
    found = (
        one(rule=hostile, message=hostile, location=place, hint=hostile),
        one(message=hostile, waiver=waived),
        one(is_preexisting=True),
    )
    verdict = Verdict(found, Coverage(1, 1, 1, (Gap(hostile, hostile, True),)), (hostile, ""), hostile, hostile)
    page = html.render(verdict, Path(hostile.replace("/", "").replace("\0", "")))
    assert "<script>" in read(page).text


def test_report_answers_the_questions_of_an_auditor(tmp_path: Path) -> None:
    soon = (datetime.datetime.now(tz=datetime.UTC).date() + datetime.timedelta(days=9)).isoformat()
    (tmp_path / "CODEOWNERS").write_text("* @all\n/clusters/ @platform\n*.md @docs\n")
    found = (
        one(),
        one(location=Location("base/b.yaml", 1)),
        one(message="kept", waiver=AppliedWaiver("moving out", soon, "ann", "T-7", Location("waivers.yaml", 2))),
        one(message="from before", is_preexisting=True),
    )
    page = read(html.render(Verdict(found, Coverage(3, 2, 2, (Gap("x.yaml", "too large", True),))), tmp_path)).text
    for words in (
        "incomplete",
        "@platform",
        "@all",
        "prod",
        "shared",
        "unknown",
        "moving out",
        "ann",
        "T-7",
        soon,
        "in 9 days",
        "from before",
        "too large",
        "In the repository before the change, not counted",
    ):
        assert words in page, words


def test_ages_come_from_git(repository: Repository, tmp_path: Path) -> None:
    root = repository({"gatekeeper.yaml": "", "a.yaml": DEPLOYMENT})
    run_git(root, "init", "-q")
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "x", "--date", "2020-01-01T00:00:00Z")
    target = tmp_path / "out.html"
    assert command("check", "--format", f"html={target}", root)[0] == 1
    assert "up to a week" in read(target.read_text()).text
    assert re.search(r"<td>0 d</td>", target.read_text())


@pytest.mark.parametrize("word", ["accepted", "refused", "incomplete"])
def test_report_starts_with_the_verdict(word: str, tmp_path: Path) -> None:
    gaps = (Gap("a", "b", True),) if word == "incomplete" else ()
    verdict = Verdict((one(),) if word == "refused" else (), Coverage(gaps=gaps))
    assert read(html.render(verdict, tmp_path)).text.partition("Coverage")[0].count(word) == 2
