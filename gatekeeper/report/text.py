"""The report for people: each finding with its line and a caret, then sums, then the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gatekeeper.model import Finding, Verdict

COLOURS = {"error": "\033[31m", "warning": "\033[33m", "info": "\033[36m"}
BOLD, DIM, GREEN, RESET = "\033[1m", "\033[2m", "\033[32m", "\033[0m"
MOST_SKIPPED = 12
# Categories of rules that find secrets: the lines that they point to are never shown.
SECRET_RULES = ("plaintext/", "secrets/", "sealed/", "sops/")


def render(verdict: Verdict, root: Path, colour: bool = False) -> str:
    """The whole report as text.

    Args:
        colour: whether escape codes may be used; only true on a terminal.
    """
    lines: list[str] = []
    texts: dict[str, list[str]] = {}
    hidden = {finding.place[:2] for finding in verdict.findings if finding.rule.startswith(SECRET_RULES)}
    for finding in (one for one in verdict.findings if not one.old):
        # A line that may hold a secret is never shown, whichever rule points to it.
        secret = finding.place[:2] in hidden or (finding.resource and finding.resource.kind == "Secret")
        lines.extend(_finding(finding, root, texts, colour, show=not secret))
    lines.extend(_old(verdict))
    lines.extend(_sums(verdict))
    lines.extend(_coverage(verdict))
    shade = {"accepted": GREEN}.get(verdict.word, COLOURS["error"])
    lines.append(_paint(f"{verdict.word}", BOLD + shade, colour) + f": {_counts(verdict)}")
    return "\n".join(lines) + "\n"


def _finding(finding: Finding, root: Path, texts: dict[str, list[str]], colour: bool, show: bool) -> Iterator[str]:
    place = finding.place
    where = ":".join(str(part) for part in place if part is not None)
    level = "waived" if finding.waived else _paint(finding.severity, COLOURS[finding.severity], colour)
    yield f"{_paint(where, BOLD, colour)}: {level}: {finding.message} {_paint(f'[{finding.rule}]', DIM, colour)}"
    if finding.waived:
        by = f", {finding.waived.owner}" if finding.waived.owner else ""
        yield f"      = waived until {finding.waived.expires}{by}: {finding.waived.reason}"
        yield ""
        return
    if place.line is not None and show:
        if place.file not in texts:
            texts[place.file] = _lines(root / place.file)
        if place.line <= len(texts[place.file]):
            number = f"{place.line:5} | "
            yield _paint(number, DIM, colour) + texts[place.file][place.line - 1].rstrip()
            yield " " * (len(number) + (place.column or 1) - 1) + _paint("^", COLOURS[finding.severity], colour)
    if finding.resource:
        how = {"traced": ", line found by tracing the rule", "resource": ", the rule names no field"}
        yield f"      = {finding.resource}{how.get(finding.placed, '')}"
    if finding.hint:
        yield f"      = help: {finding.hint}"
    yield ""


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").removeprefix("\ufeff").splitlines()
    except OSError:
        return []


def _old(verdict: Verdict) -> Iterator[str]:
    """What was there before the change: a line each, for it does not count."""
    old = [finding for finding in verdict.findings if finding.old and not finding.waived]
    if old:
        yield "there before the change, not counted:"
        for finding in old[:MOST_SKIPPED]:
            where = ":".join(str(part) for part in finding.place if part is not None)
            yield f"  {where}: {finding.message} [{finding.rule}]"
        if len(old) > MOST_SKIPPED:
            yield f"  and {len(old) - MOST_SKIPPED} more"
        yield ""


def _sums(verdict: Verdict) -> Iterator[str]:
    if not verdict.counting:
        return
    for title, counted in (
        ("by rule", Counter(finding.rule for finding in verdict.counting)),
        ("by file", Counter(finding.place.file for finding in verdict.counting)),
    ):
        yield f"{title}:"
        for name, count in sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:MOST_SKIPPED]:
            yield f"  {count:5}  {name}"
        if len(counted) > MOST_SKIPPED:
            yield f"         and {len(counted) - MOST_SKIPPED} more"
    yield ""


def _coverage(verdict: Verdict) -> Iterator[str]:
    coverage = verdict.coverage
    schemas = f"{coverage.checked} checked against a schema"
    yield f"covered: {coverage.files} files, {coverage.resources} resources, {schemas}"
    for fatal, title in ((True, "not judged"), (False, "not judged, and need not be")):
        reasons: dict[str, list[str]] = {}
        for gap in coverage.skipped:
            if gap.fatal is fatal:
                reasons.setdefault(gap.reason, []).append(gap.file)
        if reasons:
            yield f"{title}:"
        for number, (reason, files) in enumerate(sorted(reasons.items())):
            if not fatal and number >= MOST_SKIPPED:
                yield f"  and {len(reasons) - MOST_SKIPPED} more reasons (all are in --format json)"
                break
            more = f" and {len(files) - 1} more" if len(files) > 1 else ""
            yield f"  {files[0]}{more}: {reason}"


def _counts(verdict: Verdict) -> str:
    counted = Counter[str](finding.severity for finding in verdict.counting)
    gaps = sum(gap.fatal for gap in verdict.coverage.skipped)
    parts = [f"{counted[word]} {word}{'s' if counted[word] != 1 else ''}" for word in COLOURS if counted[word]]
    waived = sum(bool(finding.waived) for finding in verdict.findings)
    old = len(verdict.findings) - len(verdict.counting) - waived
    if old:
        parts.append(f"{old} there before")
    if waived:
        parts.append(f"{waived} waived")
    if gaps:
        parts.append(f"{gaps} not judged")
    return ", ".join(parts) or "nothing found"


def _paint(text: str, code: str, colour: bool) -> str:
    return f"{code}{text}{RESET}" if colour else text
