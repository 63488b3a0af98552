"""Verdicts as bytes, to be kept and read again without loss."""

from __future__ import annotations

from typing import Any

import orjson

from gatekeeper.model import AppliedWaiver, Coverage, Finding, Gap, Location, ObjectRef, Verdict


def to_bytes(verdict: Verdict) -> bytes:
    """A verdict as JSON lists, each field in the order of its type."""
    return orjson.dumps(
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
    """What `to_bytes` wrote.

    Raises:
        ValueError, TypeError, IndexError: it is something else.
    """
    findings, coverage, engine, policies, revision, shard = orjson.loads(content)
    files, resources, checked, skipped = coverage
    return Verdict(
        tuple(_decode_finding(held) for held in findings),
        Coverage(files, resources, checked, tuple(Gap(*gap) for gap in skipped)),
        (engine[0], engine[1]),
        policies,
        revision,
        shard=shard and (shard[0], shard[1]),
    )


def _encode_finding(finding: Finding) -> list[Any]:
    waived = finding.waiver
    return [
        *finding[:3],
        list(finding.location),
        finding.resource_ref and list(finding.resource_ref),
        finding.field_path and list(finding.field_path),
        finding.hint,
        finding.location_precision,
        waived and [*waived[:4], list(waived.place)],
        finding.is_preexisting,
    ]


def _decode_finding(values: list[Any]) -> Finding:
    rule, severity, message, place, resource, path, hint, placed, waived, old = values
    return Finding(
        rule,
        severity,
        message,
        Location(*place),
        resource and ObjectRef(*resource),
        path if path is None else tuple(path),
        hint,
        placed,
        waived and AppliedWaiver(waived[0], waived[1], waived[2], waived[3], Location(*waived[4])),
        old,
    )
