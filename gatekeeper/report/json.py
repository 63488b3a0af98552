"""The JSON report for programs: `gatekeeper/verdict/v1`, described by `verdict.schema.json` in this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from gatekeeper.host import json_text
from gatekeeper.model import (
    AppliedWaiver,
    Coverage,
    Finding,
    Gap,
    Location,
    ObjectRef,
    Verdict,
    format_path,
    parse_path,
)
from gatekeeper.report import places

SCHEMA = "gatekeeper/verdict/v1"


def render(verdict: Verdict, root: Path, colour: bool = False) -> str:
    """Writes one JSON object; the same verdict gives the same bytes."""
    del root, colour
    return json_text.format_report(to_value(verdict))


def to_value(verdict: Verdict) -> dict[str, Any]:
    """Converts a verdict to JSON values."""
    return {
        "schema": SCHEMA,
        "verdict": verdict.decision,
        "revision": verdict.revision,
        "engine": {"name": verdict.engine[0], "version": verdict.engine[1]},
        "policies": verdict.policy_digest,
        "coverage": {
            "files": verdict.coverage.file_count,
            "resources": verdict.coverage.resource_count,
            "checked": verdict.coverage.checked_count,
            "skipped": [
                {"file": gap.file, "reason": gap.reason, "fatal": gap.is_fatal} for gap in verdict.coverage.gaps
            ],
        },
        "shard": verdict.shard and {"number": verdict.shard[0], "of": verdict.shard[1]},
        "findings": [_encode_finding(finding) for finding in verdict.findings],
    }


def parse_report(text: bytes) -> Verdict:
    """Parses the report that `render` wrote.

    Raises:
        ValueError: the text is not such a report; the message says where and why.
    """
    # Imported here: only `merge` validates reports.
    import jsonschema_rs

    document = orjson.loads(text)
    schema = orjson.loads((Path(__file__).parent / "verdict.schema.json").read_bytes())
    wrong = next(jsonschema_rs.validator_for(schema).iter_errors(document), None)
    if wrong is not None:
        where = format_path(tuple(wrong.instance_path)) or "the top level"
        raise ValueError(f"not a JSON report of `gatekeeper check`: at {where}: {wrong.message[:200]}")
    coverage, shard = document["coverage"], document["shard"]
    gaps = tuple(Gap(gap["file"], gap["reason"], gap["fatal"]) for gap in coverage["skipped"])
    return Verdict(
        tuple(_parse_finding(entry) for entry in document["findings"]),
        Coverage(coverage["files"], coverage["resources"], coverage["checked"], gaps),
        (document["engine"]["name"], document["engine"]["version"]),
        document["policies"],
        document["revision"],
        shard=shard and (shard["number"], shard["of"]),
    )


def _parse_finding(entry: dict[str, Any]) -> Finding:
    # What the places of one cause share is in the finding itself.
    members = tuple(_parse_finding({**entry, "places": (), **place}) for place in entry.get("places", ()))
    ref, waiver = entry["resource"], entry["waived"]
    location = Location(entry["file"], entry["line"], entry["column"])
    return Finding(
        rule=entry["rule"],
        severity=entry["severity"],
        message=entry["message"],
        location=location,
        resource_ref=ref and ObjectRef(ref["apiVersion"], ref["kind"], ref["namespace"], ref["name"]),
        field_path=parse_path(entry["field"]) if entry["field"] else None,
        hint=entry["hint"],
        location_precision=entry["placed"],
        waiver=waiver and AppliedWaiver(**{**waiver, "place": Location(**waiver["place"])}),
        is_preexisting=entry["old"],
        members=members,
    )


def _encode_waiver(waiver: AppliedWaiver | None) -> dict[str, Any] | None:
    if waiver is None:
        return None
    place = waiver.place
    return {**waiver._asdict(), "place": {"file": place.file, "line": place.line, "column": place.column}}


def _encode_finding(finding: Finding) -> dict[str, Any]:
    several = places.list_places(finding)
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "message": finding.message,
        **_encode_place(finding),
        "hint": finding.hint,
        "waived": _encode_waiver(finding.waiver),
        "old": finding.is_preexisting,
        "fingerprint": finding.fingerprint,
        **(
            {"places": [{**_encode_place(place), "fingerprint": place.fingerprint} for place in several]}
            if several
            else {}
        ),
    }


def _encode_place(finding: Finding) -> dict[str, Any]:
    ref = finding.resource_ref
    return {
        "severity": finding.severity,
        "file": finding.location.file,
        "line": finding.location.line,
        "column": finding.location.column,
        "resource": ref
        and {"apiVersion": ref.api_version, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name},
        "field": format_path(finding.field_path) if finding.field_path else None,
        "placed": finding.location_precision,
    }
