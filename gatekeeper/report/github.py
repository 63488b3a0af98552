"""The report for GitHub Actions: an annotation for each finding, and a summary of the job.

Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from gatekeeper.file_names import to_printable
from gatekeeper.model import Finding, Verdict
from gatekeeper.report import places

SEVERITY_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}
MAX_ROWS = 200


def render(verdict: Verdict, root: Path, colour: bool = False) -> str:
    """Writes one workflow command per line, and the verdict last."""
    del root, colour
    lines = [_format_command(finding) for finding in verdict.active_findings]
    lines += [
        f"::error file={_escape_property(gap.file)},title=not checked::{_escape_data(gap.reason)}"
        for gap in verdict.coverage.gaps
        if gap.is_fatal
    ]
    return to_printable("\n".join([*lines, f"gatekeeper: {verdict.decision}"]) + "\n")


def render_summary(verdict: Verdict) -> str:
    """Writes the summary of the job in Markdown: the verdict, the coverage, and a table of findings."""
    coverage = verdict.coverage
    findings = verdict.active_findings
    counted = Counter[str](finding.severity for finding in findings)
    counts = [f"{counted[word]} {word}" for word in SEVERITY_COMMANDS if counted[word]]
    waived = sum(bool(finding.waiver) for finding in verdict.findings)
    old = len(verdict.findings) - len(findings) - waived
    counts += [f"{number} {what}" for number, what in ((waived, "waived"), (old, "from before the change")) if number]
    words = ", ".join(counts) or "nothing found"
    lines = [
        f"## gatekeeper: {verdict.decision}",
        "",
        f"{words}; {coverage.file_count} files, {coverage.resource_count} resources.",
    ]
    if findings:
        lines += ["", "| severity | rule | where | what |", "| --- | --- | --- | --- |"]
        lines += [_format_row(finding) for finding in findings[:MAX_ROWS]]
        if len(findings) > MAX_ROWS:
            lines += ["", f"and {len(findings) - MAX_ROWS} more"]
    fatal = [gap for gap in coverage.gaps if gap.is_fatal]
    if fatal:
        lines += ["", "Not checked:", ""]
        lines += [f"- `{gap.file}`: {_escape_cell(gap.reason)}" for gap in fatal[:MAX_ROWS]]
    return to_printable("\n".join(lines) + "\n")


def _format_command(finding: Finding) -> str:
    place = finding.location
    parts = [f"file={_escape_property(place.file)}"]
    parts += [f"line={place.line}"] if place.line is not None else []
    parts += [f"col={place.column}"] if place.column is not None else []
    about = f"{finding.resource_ref}: " if finding.resource_ref else ""
    hint = f"\n{finding.hint}" if finding.hint else ""
    message = f"{about}{places.describe_finding(finding)}{hint}"
    properties = ",".join([*parts, f"title={_escape_property(finding.rule)}"])
    return f"::{SEVERITY_COMMANDS[finding.severity]} {properties}::{_escape_data(message)}"


def _format_row(finding: Finding) -> str:
    where = ":".join(str(part) for part in finding.location[:2] if part is not None)
    rule, message = _escape_cell(finding.rule), _escape_cell(places.describe_finding(finding))
    return f"| {finding.severity} | {rule} | `{_escape_cell(where)}` | {message} |"


def _escape_cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")
