"""The report for GitHub Actions: an annotation for each finding, and a summary of the job.

Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from gatekeeper.model import Finding, Verdict

COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}
MOST_ROWS = 200


def render(verdict: Verdict, root: Path, colour: bool = False) -> str:
    """Workflow commands, one a line, the verdict last."""
    del root, colour
    lines = [_command(finding) for finding in verdict.counting]
    lines += [
        f"::error file={_property(gap.file)},title=not judged::{_data(gap.reason)}"
        for gap in verdict.coverage.skipped
        if gap.fatal
    ]
    return "\n".join([*lines, f"gatekeeper: {verdict.word}"]) + "\n"


def summary(verdict: Verdict) -> str:
    """The job's summary, in Markdown: the verdict, what was covered, and the findings as a table."""
    coverage = verdict.coverage
    found = verdict.counting
    counted = Counter[str](finding.severity for finding in found)
    counts = [f"{counted[word]} {word}" for word in COMMANDS if counted[word]]
    waived = sum(bool(finding.waived) for finding in verdict.findings)
    old = len(verdict.findings) - len(found) - waived
    counts += [f"{number} {what}" for number, what in ((waived, "waived"), (old, "there before")) if number]
    words = ", ".join(counts) or "nothing found"
    lines = [f"## gatekeeper: {verdict.word}", "", f"{words}; {coverage.files} files, {coverage.resources} resources."]
    if found:
        lines += ["", "| severity | rule | where | what |", "| --- | --- | --- | --- |"]
        lines += [_row(finding) for finding in found[:MOST_ROWS]]
        if len(found) > MOST_ROWS:
            lines += ["", f"and {len(found) - MOST_ROWS} more"]
    fatal = [gap for gap in coverage.skipped if gap.fatal]
    if fatal:
        lines += ["", "Not judged:", ""]
        lines += [f"- `{gap.file}`: {_cell(gap.reason)}" for gap in fatal[:MOST_ROWS]]
    return "\n".join(lines) + "\n"


def _command(finding: Finding) -> str:
    place = finding.place
    parts = [f"file={_property(place.file)}"]
    parts += [f"line={place.line}"] if place.line is not None else []
    parts += [f"col={place.column}"] if place.column is not None else []
    about = f"{finding.resource}: " if finding.resource else ""
    hint = f"\n{finding.hint}" if finding.hint else ""
    properties = ",".join([*parts, f"title={_property(finding.rule)}"])
    return f"::{COMMANDS[finding.severity]} {properties}::{_data(about + finding.message + hint)}"


def _row(finding: Finding) -> str:
    where = ":".join(str(part) for part in finding.place[:2] if part is not None)
    return f"| {finding.severity} | {_cell(finding.rule)} | `{_cell(where)}` | {_cell(finding.message)} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
