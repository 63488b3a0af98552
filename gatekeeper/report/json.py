"""The report for machines: `gatekeeper/verdict/v1`, described by `verdict.schema.json` beside this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from gatekeeper.model import Coverage, Finding, Gap, Place, Ref, Verdict, Waived, dotted, undotted

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
        "shard": verdict.shard and {"number": verdict.shard[0], "of": verdict.shard[1]},
        "findings": [_finding(finding) for finding in verdict.findings],
    }


def read(text: bytes) -> Verdict:
    """The verdict that `render` wrote.

    Raises:
        ValueError: it is something else; with the place and what is wrong there.
    """
    import jsonschema_rs

    held = orjson.loads(text)
    schema = orjson.loads((Path(__file__).parent / "verdict.schema.json").read_bytes())
    wrong = next(jsonschema_rs.validator_for(schema).iter_errors(held), None)
    if wrong is not None:
        where = dotted(tuple(wrong.instance_path)) or "its top"
        raise ValueError(f"is no verdict: at {where}: {wrong.message[:200]}")
    covered, shard = held["coverage"], held["shard"]
    skipped = tuple(Gap(gap["file"], gap["reason"], gap["fatal"]) for gap in covered["skipped"])
    return Verdict(
        tuple(_read(entry) for entry in held["findings"]),
        Coverage(covered["files"], covered["resources"], covered["checked"], skipped),
        (held["engine"]["name"], held["engine"]["version"]),
        held["policies"],
        held["revision"],
        shard=shard and (shard["number"], shard["of"]),
    )


def _read(held: dict[str, Any]) -> Finding:
    ref, waived = held["resource"], held["waived"]
    place = Place(held["file"], held["line"], held["column"])
    return Finding(
        held["rule"],
        held["severity"],
        held["message"],
        place,
        ref and Ref(ref["apiVersion"], ref["kind"], ref["namespace"], ref["name"]),
        undotted(held["field"]) if held["field"] else None,
        held["hint"],
        held["placed"],
        waived and Waived(**{**waived, "place": Place(**waived["place"])}),
        held["old"],
    )


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
        "old": finding.old,
        "fingerprint": finding.fingerprint,
    }
