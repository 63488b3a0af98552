"""The report to read, keep and print: one HTML file that stands alone and runs no script.

Verdict, coverage, findings by rule, team, environment and age, and the waivers with their ends.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

from gatekeeper import __version__
from gatekeeper.model import Place, Verdict, dotted
from gatekeeper.report import attribution
from gatekeeper.report.attribution import Age

WORDS = {
    "accepted": "Nothing stands against it.",
    "refused": "There are errors: it must not be applied as it is.",
    "incomplete": "Something could not be judged. What is not judged is not accepted.",
}
SEVERITIES = ("error", "warning", "info")
SOON = 30
# Everything is in the file; nothing is loaded, and nothing runs.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")


def render(verdict: Verdict, root: Path, colour: bool = False) -> str:
    """The whole page."""
    del colour
    today = datetime.datetime.now(tz=datetime.UTC).date()
    ages = attribution.ages(root, verdict.counting)
    owners = attribution.owners(root)
    teams = {finding.place.file: owners.of(finding.place.file) for finding in verdict.findings}
    parts = [
        *_head(verdict, root, today),
        *_coverage(verdict),
        *_overview(verdict, teams, ages),
        *_findings(verdict, teams, ages),
        *_old(verdict),
        *_waivers(verdict, today),
        *_gaps(verdict),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _head(verdict: Verdict, root: Path, today: datetime.date) -> Iterator[str]:
    name = escape(root.resolve().name)
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{verdict.word}: {name}</title><style>{STYLE}</style></head><body>"
    yield f'<header class="{verdict.word}"><p>gatekeeper {__version__} on <b>{name}</b>, {today}</p>'
    yield f"<h1>{verdict.word}</h1><p>{WORDS[verdict.word]}</p></header><main>"


def _coverage(verdict: Verdict) -> Iterator[str]:
    coverage = verdict.coverage
    fatal = sum(gap.fatal for gap in coverage.skipped)
    counting = verdict.counting
    waived = sum(bool(finding.waived) for finding in verdict.findings)
    numbers = [
        *((f"{severity}s", sum(one.severity == severity for one in counting)) for severity in SEVERITIES),
        ("waived", waived),
        ("there before", len(verdict.findings) - len(counting) - waived),
        ("not judged", fatal),
        ("files", coverage.files),
        ("resources", coverage.resources),
        ("against a schema", coverage.checked),
    ]
    yield '<section id="coverage"><h2>What was judged</h2><ul class="numbers">'
    for name, count in numbers:
        yield f"<li><b>{count:,}</b> {name}</li>"
    yield "</ul><dl>"
    facts = (
        ("revision", verdict.revision or "not in Git"),
        ("engine", " ".join(verdict.engine)),
        ("policies", verdict.policies),
    )
    for name, value in facts:
        yield f"<dt>{name}</dt><dd><code>{escape(value)}</code></dd>"
    yield "</dl></section>"


def _overview(verdict: Verdict, teams: dict[str, str], ages: dict[Place, Age]) -> Iterator[str]:
    found = verdict.counting
    if not found:
        return
    yield '<section id="overview"><h2>Findings at a glance</h2><div class="tables">'
    yield from _counts("by rule", attribution.counted(one.rule for one in found), link=True)
    yield from _counts("by team", attribution.counted(teams[one.place.file] for one in found))
    yield from _counts("by environment", attribution.counted(attribution.environment(one.place.file) for one in found))
    yield from _counts("by age", attribution.counted((ages[one.place].group for one in found), attribution.GROUPS))
    yield "</div></section>"


def _counts(title: str, counts: Sequence[tuple[str, int]], link: bool = False) -> Iterator[str]:
    yield f"<table><caption>{title}</caption><tbody>"
    for name, count in counts:
        shown = f'<a href="#{_anchor(name)}">{escape(name)}</a>' if link else escape(name)
        yield f"<tr><th scope=row>{shown}</th><td>{count:,}</td></tr>"
    yield "</tbody></table>"


def _findings(verdict: Verdict, teams: dict[str, str], ages: dict[Place, Age]) -> Iterator[str]:
    rules = attribution.counted(one.rule for one in verdict.counting)
    for rule, count in rules:
        found = [one for one in verdict.counting if one.rule == rule]
        hints = dict.fromkeys(one.hint for one in found if one.hint)
        yield f'<section class="rule" id="{_anchor(rule)}"><h2>{escape(rule)} <small>{count:,}</small></h2>'
        if len(hints) == 1:
            yield f"<p>{escape(next(iter(hints)))}</p>"
        yield from _table(("where", "what", "resource and field", "team", "environment", "age"))
        for one in found:
            age = ages[one.place]
            yield _row(
                one.severity,
                f"<code>{escape(_where(one.place))}</code>",
                escape(one.message),
                f"{escape(str(one.resource or ''))} <code>{escape(dotted(one.path))}</code>",
                escape(teams[one.place.file]),
                escape(attribution.environment(one.place.file)),
                "" if age.days is None else f"{age.days:,} d",
            )
        yield "</tbody></table></section>"


def _old(verdict: Verdict) -> Iterator[str]:
    old = [one for one in verdict.findings if one.old and not one.waived]
    if old:
        yield '<section id="old"><h2>There before the change, not counted</h2>'
        yield from _table(("where", "rule", "what"))
        for one in old:
            yield _row(one.severity, f"<code>{escape(_where(one.place))}</code>", escape(one.rule), escape(one.message))
        yield "</tbody></table></section>"


def _waivers(verdict: Verdict, today: datetime.date) -> Iterator[str]:
    waived = sorted(
        ((one.waived, one) for one in verdict.findings if one.waived),
        key=lambda pair: (pair[0].expires, pair[1].place.file),
    )
    if not waived:
        return
    yield '<section id="waivers"><h2>Waivers and their ends</h2>'
    yield from _table(("ends", "what is waived", "why", "who answers", "ticket", "written in"))
    for waiver, one in waived:
        days = (datetime.date.fromisoformat(waiver.expires) - today).days
        soon = f" <b>in {days} days</b>" if days <= SOON else ""
        yield _row(
            "warning" if soon else "info",
            escape(waiver.expires) + soon,
            f"{escape(one.rule)}: {escape(one.message)} <code>{escape(_where(one.place))}</code>",
            escape(waiver.reason),
            escape(waiver.owner),
            escape(waiver.ticket),
            f"<code>{escape(_where(waiver.place))}</code>",
        )
    yield "</tbody></table></section>"


def _gaps(verdict: Verdict) -> Iterator[str]:
    for fatal, title in ((True, "Not judged"), (False, "Not judged, and need not be")):
        gaps = [gap for gap in verdict.coverage.skipped if gap.fatal is fatal]
        if gaps:
            yield f'<section id="{"lost" if fatal else "left-out"}"><h2>{title} <small>{len(gaps):,}</small></h2>'
            yield from _table(("file", "why"))
            for gap in gaps:
                yield _row("error" if fatal else "info", f"<code>{escape(gap.file)}</code>", escape(gap.reason))
            yield "</tbody></table></section>"


def _table(titles: Iterable[str]) -> Iterator[str]:
    yield "<table><thead><tr>" + "".join(f"<th scope=col>{title}</th>" for title in titles) + "</tr></thead><tbody>"


def _row(shade: str, *cells: str) -> str:
    return f'<tr class="{shade}">' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _where(place: Place) -> str:
    return ":".join(str(part) for part in place[:2] if part is not None)


def _anchor(rule: str) -> str:
    return "rule-" + "".join(letter if letter.isalnum() else "-" for letter in rule)
