"""The report for machines: `gatekeeper/verdict/v1`, described by `verdict.schema.json` beside this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from gatekeeper.model import Finding, Verdict, Waived, dotted

SCHEMA = "gatekeeper/verdict/v1"


def render(verdict: Verdict, root: Path, colour: bool = False) -> str:
    """One JSON object; the same verdict gives the same bytes."""
    del root, colour
    return orjson.dumps(as_value(verdict), option=orjson.OPT_INDENT_2).decode() + "\n"


def as_value(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain values."""
    return {
        "schema": SCHEMA,
        "verdict": verdict.word,
        "revision": verdict.revision,
        "engine": {"name": verdict.engine[0], "version": verdict.engine[1]},
        "policies": verdict.policies,
        "coverage": {
            "files": verdict.coverage.files,
            "resources": verdict.coverage.resources,
            "checked": verdict.coverage.checked,
            "skipped": [
                {"file": gap.file, "reason": gap.reason, "fatal": gap.fatal} for gap in verdict.coverage.skipped
            ],
        },
        "findings": [_finding(finding) for finding in verdict.findings],
    }


def _waived(waived: Waived | None) -> dict[str, Any] | None:
    if waived is None:
        return None
    place = waived.place
    return {**waived._asdict(), "place": {"file": place.file, "line": place.line, "column": place.column}}


def _finding(finding: Finding) -> dict[str, Any]:
    ref = finding.resource
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "message": finding.message,
        "file": finding.place.file,
        "line": finding.place.line,
        "column": finding.place.column,
        "resource": ref
        and {"apiVersion": ref.api_version, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name},
        "field": dotted(finding.path) if finding.path else None,
        "placed": finding.placed,
        "hint": finding.hint,
        "waived": _waived(finding.waived),
        "fingerprint": finding.fingerprint,
    }
