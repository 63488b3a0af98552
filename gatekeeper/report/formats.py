"""The report formats, by the name that `--format` takes.

A format is loaded when it is used: to load all of them takes a fifth of the time of a hook whose verdict is cached.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from gatekeeper.model import Verdict


class ReportFormat(Protocol):
    """A module of this folder that writes one format."""

    def render(self, verdict: Verdict, root: Path, colour: bool = False) -> str:
        """The whole report; the same verdict gives the same text.

        Args:
            root: the repository's root, whose files a report may quote.
            colour: whether escape codes may be used; only true on a terminal.
        """


def _load_text() -> ReportFormat:
    # Imported here: each report loads only its own format.
    from gatekeeper.report import text

    return text


def _load_json() -> ReportFormat:
    # Imported here: each report loads only its own format.
    from gatekeeper.report import json

    return json


def _load_sarif() -> ReportFormat:
    # Imported here: each report loads only its own format.
    from gatekeeper.report import sarif

    return sarif


def _load_junit() -> ReportFormat:
    # Imported here: each report loads only its own format.
    from gatekeeper.report import junit

    return junit


def _load_github() -> ReportFormat:
    # Imported here: each report loads only its own format.
    from gatekeeper.report import github

    return github


def _load_gitlab() -> ReportFormat:
    # Imported here: each report loads only its own format.
    from gatekeeper.report import gitlab

    return gitlab


def _load_policyreport() -> ReportFormat:
    # Imported here: each report loads only its own format.
    from gatekeeper.report import policyreport

    return policyreport


def _load_html() -> ReportFormat:
    # Imported here: each report loads only its own format.
    from gatekeeper.report import html

    return html


REPORT_FORMATS: dict[str, Callable[[], ReportFormat]] = {
    "text": _load_text,
    "json": _load_json,
    "sarif": _load_sarif,
    "junit": _load_junit,
    "github": _load_github,
    "gitlab": _load_gitlab,
    "policyreport": _load_policyreport,
    "html": _load_html,
}


def render_report(format_name: str, verdict: Verdict, root: Path, colour: bool = False) -> str:
    """The report in one of the formats; see `ReportFormat.render`."""
    return REPORT_FORMATS[format_name]().render(verdict, root, colour)
