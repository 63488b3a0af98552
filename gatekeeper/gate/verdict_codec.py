"""Verdicts as bytes, to be kept and read again without loss."""

from __future__ import annotations

from typing import Any

import orjson

from gatekeeper.model import Coverage, Finding, Gap, Place, Ref, Verdict, Waived


def to_bytes(verdict: Verdict) -> bytes:
    """A verdict as JSON lists, each field in the order of its type."""
    return orjson.dumps(
        [
            [_finding(finding) for finding in verdict.findings],
            [*verdict.coverage[:3], [list(gap) for gap in verdict.coverage.skipped]],
            list(verdict.engine),
            verdict.policies,
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
        tuple(_read(held) for held in findings),
        Coverage(files, resources, checked, tuple(Gap(*gap) for gap in skipped)),
        (engine[0], engine[1]),
        policies,
        revision,
        shard=shard and (shard[0], shard[1]),
    )


def _finding(finding: Finding) -> list[Any]:
    waived = finding.waived
    return [
        *finding[:3],
        list(finding.place),
        finding.resource and list(finding.resource),
        finding.path and list(finding.path),
        finding.hint,
        finding.placed,
        waived and [*waived[:4], list(waived.place)],
        finding.old,
    ]


def _read(held: list[Any]) -> Finding:
    rule, severity, message, place, resource, path, hint, placed, waived, old = held
    return Finding(
        rule,
        severity,
        message,
        Place(*place),
        resource and Ref(*resource),
        path if path is None else tuple(path),
        hint,
        placed,
        waived and Waived(waived[0], waived[1], waived[2], waived[3], Place(*waived[4])),
        old,
    )
