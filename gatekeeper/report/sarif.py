"""The report for code scanning: SARIF 2.1.0 (OASIS, https://docs.oasis-open.org/sarif/sarif/v2.1.0/)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from gatekeeper import __version__
from gatekeeper.model import Finding, Gap, Place, Verdict, Waived, dotted

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {"error": "error", "warning": "warning", "info": "note"}
ROOT = "SRCROOT"


def render(verdict: Verdict, root: Path, colour: bool = False) -> str:
    """One run; what could not be judged is a notification, and the run is then no success."""
    del root, colour
    rules = sorted({finding.rule for finding in verdict.findings})
    # Where one result is compared with the past, all are.
    compared = any(finding.old for finding in verdict.findings)
    run = {
        "tool": {"driver": {
            "name": "gatekeeper",
            "semanticVersion": __version__,
            "rules": [_rule(name, verdict) for name in rules],
        }},
        "invocations": [{
            "executionSuccessful": verdict.word != "incomplete",
            "exitCode": verdict.exit_code,
            "toolExecutionNotifications": [_notification(gap) for gap in verdict.coverage.skipped],
        }],
        "originalUriBaseIds": {ROOT: {"description": {"text": "the root of the repository"}}},
        "columnKind": "unicodeCodePoints",
        "properties": {"verdict": verdict.word, "policies": verdict.policies, "revision": verdict.revision},
        "results": [_result(finding, rules.index(finding.rule), compared) for finding in verdict.findings],
    }  # fmt: skip
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return orjson.dumps(log, option=orjson.OPT_INDENT_2).decode() + "\n"


def _rule(name: str, verdict: Verdict) -> dict[str, Any]:
    first = next(finding for finding in verdict.findings if finding.rule == name)
    rule: dict[str, Any] = {"id": name, "defaultConfiguration": {"level": LEVELS[first.severity]}}
    return {**rule, "help": {"text": first.hint}} if first.hint else rule


def _result(finding: Finding, index: int, compared: bool) -> dict[str, Any]:
    location: dict[str, Any] = {"physicalLocation": _physical(finding.place)}
    if finding.resource:
        name = f"{finding.resource} {dotted(finding.path)}".rstrip()
        location["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "resource"}]
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": LEVELS[finding.severity],
        "message": {"text": finding.message},
        "locations": [location],
        "partialFingerprints": {"gatekeeper/v1": finding.fingerprint},
        "properties": {"placed": finding.placed},
        **({"baselineState": "unchanged" if finding.old else "new"} if compared else {}),
        **({"suppressions": [_suppression(finding.waived)]} if finding.waived else {}),
    }


def _suppression(waived: Waived) -> dict[str, Any]:
    return {
        "kind": "inSource",
        "status": "accepted",
        "justification": waived.reason,
        "location": {"physicalLocation": _physical(waived.place)},
        "properties": {"expires": waived.expires, "owner": waived.owner, "ticket": waived.ticket},
    }


def _notification(gap: Gap) -> dict[str, Any]:
    return {
        "level": "error" if gap.fatal else "note",
        "message": {"text": gap.reason},
        "locations": [{"physicalLocation": _physical(Place(gap.file))}],
    }


def _physical(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = {"artifactLocation": {"uri": quote(place.file), "uriBaseId": ROOT}}
    if place.line is not None:
        column = {"startColumn": place.column} if place.column is not None else {}
        found["region"] = {"startLine": place.line, **column}
    return found
