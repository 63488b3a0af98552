"""The HTML report: one file without scripts, to read, archive and print.

It has the verdict, the coverage, findings by rule, team, environment and age, and the waivers with their expiry dates.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

from gatekeeper import __version__
from gatekeeper.file_names import to_printable
from gatekeeper.model import Location, Verdict, format_path
from gatekeeper.report import attribution, places
from gatekeeper.report.attribution import LineAge

DECISION_MESSAGES = {
    "accepted": "No error was found.",
    "refused": "There are errors: do not apply this revision.",
    "incomplete": "Some files could not be checked, so the verdict is not `accepted`.",
}
SEVERITIES = ("error", "warning", "info")
SOON_DAYS = 30
# The page loads no resources and runs no scripts.
CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLESHEET = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")


def render(verdict: Verdict, root: Path, colour: bool = False) -> str:
    """Writes the whole page."""
    del colour
    today = datetime.datetime.now(tz=datetime.UTC).date()
    ages = attribution.find_ages(root, verdict.active_findings)
    owners = attribution.load_owners(root)
    teams = {finding.location.file: owners.find_owner(finding.location.file) for finding in verdict.findings}
    parts = [
        *_render_head(verdict, root, today),
        *_render_coverage(verdict),
        *_render_overview(verdict, teams, ages),
        *_render_findings(verdict, teams, ages),
        *_render_preexisting(verdict),
        *_render_waivers(verdict, today),
        *_render_gaps(verdict),
        "</main></body></html>",
    ]
    return to_printable("\n".join(parts) + "\n")


def _render_head(verdict: Verdict, root: Path, today: datetime.date) -> Iterator[str]:
    name = escape(root.resolve().name)
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_SECURITY_POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{verdict.decision}: {name}</title><style>{STYLESHEET}</style></head><body>"
    yield f'<header class="{verdict.decision}"><p>gatekeeper {__version__} on <b>{name}</b>, {today}</p>'
    yield f"<h1>{verdict.decision}</h1><p>{DECISION_MESSAGES[verdict.decision]}</p></header><main>"


def _render_coverage(verdict: Verdict) -> Iterator[str]:
    coverage = verdict.coverage
    fatal = sum(gap.is_fatal for gap in coverage.gaps)
    counting = verdict.active_findings
    waived = sum(bool(finding.waiver) for finding in verdict.findings)
    numbers = [
        *((f"{severity}s", sum(finding.severity == severity for finding in counting)) for severity in SEVERITIES),
        ("waived", waived),
        ("from before the change", len(verdict.findings) - len(counting) - waived),
        ("not checked", fatal),
        ("files", coverage.file_count),
        ("resources", coverage.resource_count),
        ("against a schema", coverage.checked_count),
    ]
    yield '<section id="coverage"><h2>Coverage</h2><ul class="numbers">'
    for name, count in numbers:
        yield f"<li><b>{count:,}</b> {name}</li>"
    yield "</ul><dl>"
    facts = (
        ("revision", verdict.revision or "not in Git"),
        ("engine", " ".join(verdict.engine)),
        ("policies", verdict.policy_digest),
    )
    for name, value in facts:
        yield f"<dt>{name}</dt><dd><code>{escape(value)}</code></dd>"
    yield "</dl></section>"


def _render_overview(verdict: Verdict, owners_by_file: dict[str, str], ages: dict[Location, LineAge]) -> Iterator[str]:
    findings = verdict.active_findings
    if not findings:
        return
    yield '<section id="overview"><h2>Findings at a glance</h2><div class="tables">'
    yield from _render_counts("by rule", attribution.count_names(finding.rule for finding in findings), is_linked=True)
    yield from _render_counts(
        "by team", attribution.count_names(owners_by_file[finding.location.file] for finding in findings)
    )
    yield from _render_counts(
        "by environment",
        attribution.count_names(attribution.find_environment(finding.location.file) for finding in findings),
    )
    yield from _render_counts(
        "by age",
        attribution.count_names((ages[finding.location].group for finding in findings), attribution.AGE_GROUPS),
    )
    yield "</div></section>"


def _render_counts(title: str, counts: Sequence[tuple[str, int]], is_linked: bool = False) -> Iterator[str]:
    yield f"<table><caption>{title}</caption><tbody>"
    for name, count in counts:
        shown = f'<a href="#{_build_anchor(name)}">{escape(name)}</a>' if is_linked else escape(name)
        yield f"<tr><th scope=row>{shown}</th><td>{count:,}</td></tr>"
    yield "</tbody></table>"


def _render_findings(verdict: Verdict, owners_by_file: dict[str, str], ages: dict[Location, LineAge]) -> Iterator[str]:
    rules = attribution.count_names(finding.rule for finding in verdict.active_findings)
    for rule, count in rules:
        findings = [finding for finding in verdict.active_findings if finding.rule == rule]
        hints = dict.fromkeys(finding.hint for finding in findings if finding.hint)
        yield f'<section class="rule" id="{_build_anchor(rule)}"><h2>{escape(rule)} <small>{count:,}</small></h2>'
        if len(hints) == 1:
            yield f"<p>{escape(next(iter(hints)))}</p>"
        yield from _open_table(("location", "message", "resource and field", "team", "environment", "age"))
        for finding in findings:
            age = ages[finding.location]
            yield _render_row(
                finding.severity,
                f"<code>{escape(_format_location(finding.location))}</code>",
                escape(places.describe_finding(finding)),
                f"{escape(str(finding.resource_ref or ''))} <code>{escape(format_path(finding.field_path))}</code>",
                escape(owners_by_file[finding.location.file]),
                escape(attribution.find_environment(finding.location.file)),
                "" if age.days is None else f"{age.days:,} d",
            )
        yield "</tbody></table></section>"


def _render_preexisting(verdict: Verdict) -> Iterator[str]:
    old = [finding for finding in verdict.findings if finding.is_preexisting and not finding.waiver]
    if old:
        yield '<section id="old"><h2>In the repository before the change, not counted</h2>'
        yield from _open_table(("location", "rule", "message"))
        for finding in old:
            yield _render_row(
                finding.severity,
                f"<code>{escape(_format_location(finding.location))}</code>",
                escape(finding.rule),
                escape(places.describe_finding(finding)),
            )
        yield "</tbody></table></section>"


def _render_waivers(verdict: Verdict, today: datetime.date) -> Iterator[str]:
    waived = sorted(
        ((finding.waiver, finding) for finding in verdict.findings if finding.waiver),
        key=lambda pair: (pair[0].expires, pair[1].location.file),
    )
    if not waived:
        return
    yield '<section id="waivers"><h2>Waivers and their expiry dates</h2>'
    yield from _open_table(("expires", "waived finding", "reason", "owner", "ticket", "location"))
    for waiver, finding in waived:
        days = (datetime.date.fromisoformat(waiver.expires) - today).days
        soon = f" <b>in {days} days</b>" if days <= SOON_DAYS else ""
        location = escape(_format_location(finding.location))
        yield _render_row(
            "warning" if soon else "info",
            escape(waiver.expires) + soon,
            f"{escape(finding.rule)}: {escape(places.describe_finding(finding))} <code>{location}</code>",
            escape(waiver.reason),
            escape(waiver.owner),
            escape(waiver.ticket),
            f"<code>{escape(_format_location(waiver.place))}</code>",
        )
    yield "</tbody></table></section>"


def _render_gaps(verdict: Verdict) -> Iterator[str]:
    for fatal, title in ((True, "Not checked"), (False, "Skipped, does not affect the verdict")):
        gaps = [gap for gap in verdict.coverage.gaps if gap.is_fatal is fatal]
        if gaps:
            yield f'<section id="{"lost" if fatal else "left-out"}"><h2>{title} <small>{len(gaps):,}</small></h2>'
            yield from _open_table(("file", "reason"))
            for gap in gaps:
                yield _render_row("error" if fatal else "info", f"<code>{escape(gap.file)}</code>", escape(gap.reason))
            yield "</tbody></table></section>"


def _open_table(titles: Iterable[str]) -> Iterator[str]:
    yield "<table><thead><tr>" + "".join(f"<th scope=col>{title}</th>" for title in titles) + "</tr></thead><tbody>"


def _render_row(css_class: str, *cells: str) -> str:
    return f'<tr class="{css_class}">' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _format_location(location: Location) -> str:
    return ":".join(str(part) for part in location[:2] if part is not None)


def _build_anchor(rule: str) -> str:
    return "rule-" + "".join(letter if letter.isalnum() else "-" for letter in rule)
