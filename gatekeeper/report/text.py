"""The text report: each finding with its line and a caret, then counts by rule and file, then the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gatekeeper.file_names import to_printable
from gatekeeper.model import Finding, Verdict
from gatekeeper.report import places as finding_places
from gatekeeper.workspace.text_encoding import convert_to_utf8

COLOURS = {"error": "\033[31m", "warning": "\033[33m", "info": "\033[36m"}
BOLD, DIM, GREEN, RESET = "\033[1m", "\033[2m", "\033[32m", "\033[0m"
MAX_LISTED = 12
# Characters of a line of a file (JSON can be one line of megabytes), of those before the column, and of a message.
MAX_LINE_LENGTH, MAX_LENGTH_BEFORE, MAX_MESSAGE_LENGTH = 300, 120, 4000
CUT = "..."
# Rules that find secrets: the lines that they point to are never shown.
SECRET_RULE_PREFIXES = ("plaintext/", "secrets/", "sealed/", "sops/")


def render(verdict: Verdict, root: Path, colour: bool = False) -> str:
    """Writes the report as text; see `ReportFormat.render`."""
    lines: list[str] = []
    texts: dict[str, list[str]] = {}
    secret_findings = [finding for finding in verdict.findings if finding.rule.startswith(SECRET_RULE_PREFIXES)]
    hidden = {member.location[:2] for finding in secret_findings for member in (finding, *finding.members)}
    for finding in (finding for finding in verdict.findings if not finding.is_preexisting):
        # A line that may contain a secret is never shown, whichever rule points to it.
        secret = finding.location[:2] in hidden or (finding.resource_ref and finding.resource_ref.kind == "Secret")
        lines.extend(_format_finding(finding, root, texts, colour, show_source=not secret))
    lines.extend(_format_preexisting(verdict))
    lines.extend(_format_sums(verdict))
    lines.extend(_format_coverage(verdict))
    shade = {"accepted": GREEN}.get(verdict.decision, COLOURS["error"])
    lines.append(_paint(f"{verdict.decision}", BOLD + shade, colour) + f": {_format_counts(verdict)}")
    return to_printable("\n".join(lines) + "\n")


def _cut_line(line: str, position: int) -> tuple[str, int]:
    """The part of a long line around a position, and the position in it."""
    if len(line) <= MAX_LINE_LENGTH:
        return line, position
    begin = max(0, position - MAX_LENGTH_BEFORE)
    part = line[begin : begin + MAX_LINE_LENGTH]
    head, tail = CUT if begin else "", CUT if begin + MAX_LINE_LENGTH < len(line) else ""
    return f"{head}{part}{tail}", position - begin + len(head)


def _format_finding(
    finding: Finding, root: Path, lines_by_file: dict[str, list[str]], colour: bool, show_source: bool
) -> Iterator[str]:
    place = finding.location
    where = ":".join(str(part) for part in place if part is not None)
    level = "waived" if finding.waiver else _paint(finding.severity, COLOURS[finding.severity], colour)
    message = finding.message
    if len(message) > MAX_MESSAGE_LENGTH:
        message = f"{message[:MAX_MESSAGE_LENGTH]}{CUT} ({len(message):,} characters)"
    yield f"{_paint(where, BOLD, colour)}: {level}: {message} {_paint(f'[{finding.rule}]', DIM, colour)}"
    places = finding_places.describe_places(finding)
    if finding.waiver:
        if places:
            yield f"      = {places}"
        by = f", {finding.waiver.owner}" if finding.waiver.owner else ""
        yield f"      = waived until {finding.waiver.expires}{by}: {finding.waiver.reason}"
        yield ""
        return
    if place.line is not None and show_source:
        if place.file not in lines_by_file:
            lines_by_file[place.file] = _read_lines(root / place.file)
        if place.line <= len(lines_by_file[place.file]):
            number = f"{place.line:5} | "
            line, position = _cut_line(lines_by_file[place.file][place.line - 1].rstrip(), (place.column or 1) - 1)
            yield _paint(number, DIM, colour) + line
            yield " " * (len(number) + position) + _paint("^", COLOURS[finding.severity], colour)
    if finding.resource_ref:
        how = {
            "traced": ", line found by tracing the rule",
            "resource": ", line of the resource: the rule reports no field",
        }
        yield f"      = {finding.resource_ref}{how.get(finding.location_precision, '')}"
    if places:
        yield f"      = {places}"
    if finding.hint:
        yield f"      = help: {finding.hint}"
    yield ""


def _read_lines(path: Path) -> list[str]:
    try:
        content = path.read_bytes()
        text = (convert_to_utf8(content) or content).decode("utf-8", "replace")
        return text.removeprefix("\ufeff").splitlines()
    except OSError:
        return []


def _format_preexisting(verdict: Verdict) -> Iterator[str]:
    """Findings from before the change, one line each: they do not count."""
    old = [finding for finding in verdict.findings if finding.is_preexisting and not finding.waiver]
    if old:
        yield "in the repository before the change, not counted:"
        for finding in old[:MAX_LISTED]:
            where = ":".join(str(part) for part in finding.location if part is not None)
            yield f"  {where}: {finding_places.count_places(finding)} [{finding.rule}]"
        if len(old) > MAX_LISTED:
            yield f"  and {len(old) - MAX_LISTED} more"
        yield ""


def _format_sums(verdict: Verdict) -> Iterator[str]:
    if not verdict.active_findings:
        return
    for title, counted in (
        ("by rule", Counter(finding.rule for finding in verdict.active_findings)),
        ("by file", Counter(finding.location.file for finding in verdict.active_findings)),
    ):
        yield f"{title}:"
        for name, count in sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:MAX_LISTED]:
            yield f"  {count:5}  {name}"
        if len(counted) > MAX_LISTED:
            yield f"         and {len(counted) - MAX_LISTED} more"
    yield ""


def _format_coverage(verdict: Verdict) -> Iterator[str]:
    coverage = verdict.coverage
    counted = f"{_format_count(coverage.file_count, 'file')}, {_format_count(coverage.resource_count, 'resource')}"
    yield f"checked: {counted} ({coverage.checked_count} against a schema)"
    for fatal, title in ((True, "not checked"), (False, "skipped, does not affect the verdict")):
        reasons: dict[str, list[str]] = {}
        for gap in coverage.gaps:
            if gap.is_fatal is fatal:
                reasons.setdefault(gap.reason, []).append(gap.file)
        if reasons:
            yield f"{title}:"
        for number, (reason, files) in enumerate(sorted(reasons.items())):
            if not fatal and number >= MAX_LISTED:
                yield f"  and {len(reasons) - MAX_LISTED} more reasons (all are in --format json)"
                break
            more = f" and {len(files) - 1} more" if len(files) > 1 else ""
            yield f"  {files[0]}{more}: {reason}"


def _format_count(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}"


def _format_counts(verdict: Verdict) -> str:
    counted = Counter[str](finding.severity for finding in verdict.active_findings)
    gaps = sum(gap.is_fatal for gap in verdict.coverage.gaps)
    parts = [_format_count(counted[word], word) for word in COLOURS if counted[word]]
    waived = sum(bool(finding.waiver) for finding in verdict.findings)
    old = len(verdict.findings) - len(verdict.active_findings) - waived
    if old:
        parts.append(f"{old} from before the change")
    if waived:
        parts.append(f"{waived} waived")
    if gaps:
        parts.append(f"{gaps} not checked")
    return ", ".join(parts) or "nothing found"


def _paint(text: str, code: str, colour: bool) -> str:
    return f"{code}{text}{RESET}" if colour else text
