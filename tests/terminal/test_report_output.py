"""Where a report goes: standard output, or the file of `--format FORMAT=FILE`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.errors import UsageError
from gatekeeper.model import Finding, Location, Verdict
from gatekeeper.terminal.report_output import parse_output, write_report

VERDICT = Verdict((Finding("rule", "error", "a message", Location("a.yaml", 1, 1)),))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("text", ("text", None)),
        ("json=out/v.json", ("json", Path("out/v.json"))),
        ("sarif=a=b", ("sarif", Path("a=b"))),
        ("text=", ("text", None)),
    ],
)
def test_a_format_may_name_a_file(text: str, expected: tuple[str, Path | None]) -> None:
    assert parse_output(text) == expected


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="--format xml: unknown format; choose from text, json"):
        parse_output("xml=a.xml")


def test_a_report_goes_to_its_file_or_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_report(VERDICT, tmp_path, "github", None)
    printed = capsys.readouterr().out
    assert "a message" in printed and "file=a.yaml" in printed
    write_report(VERDICT, tmp_path, "github", tmp_path / "report")
    assert capsys.readouterr().out == ""
    assert (tmp_path / "report").read_text() == printed
