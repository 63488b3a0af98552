"""The report for GitLab's merge requests: its Code Quality format.

Source: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gatekeeper.host import json_text
from gatekeeper.model import Finding, Gap, Location, Verdict
from gatekeeper.report import places

SEVERITIES = {"error": "critical", "warning": "minor", "info": "info"}


def render(verdict: Verdict, root: Path, colour: bool = False) -> str:
    """Writes a list of issues; a fatal gap is an issue with the severity `blocker`."""
    del root, colour
    issues = [_build_issue(finding) for finding in verdict.active_findings]
    issues += [_build_issue(_convert_gap(gap), "blocker") for gap in verdict.coverage.gaps if gap.is_fatal]
    return json_text.format_report(issues)


def _build_issue(finding: Finding, severity: str = "") -> dict[str, Any]:
    about = f"{finding.resource_ref}: " if finding.resource_ref else ""
    return {
        "description": f"{about}{places.describe_finding(finding)}",
        "check_name": finding.rule,
        "fingerprint": finding.fingerprint,
        "severity": severity or SEVERITIES[finding.severity],
        "location": {"path": finding.location.file, "lines": {"begin": finding.location.line or 1}},
    }


def _convert_gap(gap: Gap) -> Finding:
    return Finding("not-judged", "error", gap.reason, Location(gap.file))
