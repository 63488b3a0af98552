"""The report for code scanning: SARIF 2.1.0 (OASIS, https://docs.oasis-open.org/sarif/sarif/v2.1.0/)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gatekeeper import __version__
from gatekeeper.host import json_text
from gatekeeper.model import AppliedWaiver, Finding, Gap, Location, Verdict, format_path
from gatekeeper.report import places

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {"error": "error", "warning": "warning", "info": "note"}
ROOT_BASE_ID = "SRCROOT"


def render(verdict: Verdict, root: Path, colour: bool = False) -> str:
    """One run; a fatal gap is a notification, and the run is then not successful."""
    del root, colour
    rules = sorted({finding.rule for finding in verdict.findings})
    # If one result is compared with the base, all are.
    compared = any(finding.is_preexisting for finding in verdict.findings)
    run = {
        "tool": {
            "driver": {
                "name": "gatekeeper",
                "semanticVersion": __version__,
                "rules": [_build_rule(name, verdict) for name in rules],
            }
        },
        "invocations": [
            {
                "executionSuccessful": verdict.decision != "incomplete",
                "exitCode": verdict.exit_code,
                "toolExecutionNotifications": [_build_notification(gap) for gap in verdict.coverage.gaps],
            }
        ],
        "originalUriBaseIds": {ROOT_BASE_ID: {"description": {"text": "the root of the repository"}}},
        "columnKind": "unicodeCodePoints",
        "properties": {"verdict": verdict.decision, "policies": verdict.policy_digest, "revision": verdict.revision},
        "results": [_build_result(finding, rules.index(finding.rule), compared) for finding in verdict.findings],
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json_text.format_report(log)


def _build_rule(name: str, verdict: Verdict) -> dict[str, Any]:
    first = next(finding for finding in verdict.findings if finding.rule == name)
    rule: dict[str, Any] = {"id": name, "defaultConfiguration": {"level": LEVELS[first.severity]}}
    return {**rule, "help": {"text": first.hint}} if first.hint else rule


def _build_result(finding: Finding, index: int, is_compared: bool) -> dict[str, Any]:
    others = places.list_places(finding)[1:]
    related = [{"id": number, **_build_location(place)} for number, place in enumerate(others, 1)]
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": LEVELS[finding.severity],
        "message": {"text": places.count_places(finding)},
        "locations": [_build_location(finding)],
        **({"relatedLocations": related} if related else {}),
        "partialFingerprints": {"gatekeeper/v1": finding.fingerprint},
        "properties": {"placed": finding.location_precision},
        **({"baselineState": "unchanged" if finding.is_preexisting else "new"} if is_compared else {}),
        **({"suppressions": [_build_suppression(finding.waiver)]} if finding.waiver else {}),
    }


def _build_location(finding: Finding) -> dict[str, Any]:
    location: dict[str, Any] = {"physicalLocation": _build_physical_location(finding.location)}
    if finding.resource_ref:
        name = f"{finding.resource_ref} {format_path(finding.field_path)}".rstrip()
        location["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "resource"}]
    return location


def _build_suppression(waiver: AppliedWaiver) -> dict[str, Any]:
    return {
        "kind": "inSource",
        "status": "accepted",
        "justification": waiver.reason,
        "location": {"physicalLocation": _build_physical_location(waiver.place)},
        "properties": {"expires": waiver.expires, "owner": waiver.owner, "ticket": waiver.ticket},
    }


def _build_notification(gap: Gap) -> dict[str, Any]:
    return {
        "level": "error" if gap.is_fatal else "note",
        "message": {"text": gap.reason},
        "locations": [{"physicalLocation": _build_physical_location(Location(gap.file))}],
    }


def _build_physical_location(location: Location) -> dict[str, Any]:
    physical_location: dict[str, Any] = {
        "artifactLocation": {"uri": quote(os.fsencode(location.file)), "uriBaseId": ROOT_BASE_ID}
    }
    if location.line is not None:
        column = {"startColumn": location.column} if location.column is not None else {}
        physical_location["region"] = {"startLine": location.line, **column}
    return physical_location
