"""Encodes verdicts for the cache, and decodes them without loss."""

from __future__ import annotations

from typing import Any

from gatekeeper.host import json_text
from gatekeeper.model import AppliedWaiver, Coverage, Finding, Gap, Location, ObjectRef, Verdict


def to_bytes(verdict: Verdict) -> bytes:
    """Encodes a verdict as JSON lists, each with the fields of its type in order."""
    return json_text.encode(
        [
            [_encode_finding(finding) for finding in verdict.findings],
            [*verdict.coverage[:3], [list(gap) for gap in verdict.coverage.gaps]],
            list(verdict.engine),
            verdict.policy_digest,
            verdict.revision,
            verdict.shard and list(verdict.shard),
        ]
    )


def from_bytes(content: bytes) -> Verdict:
    """Decodes what `to_bytes` wrote.

    Raises:
        ValueError, TypeError, IndexError: the content is something else.
    """
    findings, coverage, engine, policies, revision, shard = json_text.decode(content)
    files, resources, checked, skipped = coverage
    return Verdict(
        tuple(_decode_finding(values) for values in findings),
        Coverage(files, resources, checked, tuple(Gap(*gap) for gap in skipped)),
        (engine[0], engine[1]),
        policies,
        revision,
        shard=shard and (shard[0], shard[1]),
    )


def _encode_finding(finding: Finding) -> list[Any]:
    waiver = finding.waiver
    return [
        *finding[:3],
        list(finding.location),
        finding.resource_ref and list(finding.resource_ref),
        finding.field_path and list(finding.field_path),
        finding.hint,
        finding.location_precision,
        waiver and [*waiver[:4], list(waiver.place)],
        finding.is_preexisting,
        [_encode_finding(member) for member in finding.members],
    ]


def _decode_finding(values: list[Any]) -> Finding:
    rule, severity, message, location, resource, path, hint, precision, waiver, is_preexisting, members = values
    return Finding(
        rule=rule,
        severity=severity,
        message=message,
        location=Location(*location),
        resource_ref=resource and ObjectRef(*resource),
        field_path=path if path is None else tuple(path),
        hint=hint,
        location_precision=precision,
        waiver=waiver and AppliedWaiver(waiver[0], waiver[1], waiver[2], waiver[3], Location(*waiver[4])),
        is_preexisting=is_preexisting,
        members=tuple(_decode_finding(member) for member in members),
    )
