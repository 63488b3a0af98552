"""Decides whether the verdict of the gate forbids applying some objects."""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.apply.model import ReconcileOutcome
from gatekeeper.model import Object, Verdict, get_field

# Findings that a message shows.
MAX_SHOWN = 3


def find_refusal(verdict: Verdict, objects: Sequence[Object], folders: Sequence[str]) -> ReconcileOutcome | None:
    """Why objects must not be applied; None if they may be.

    Args:
        folders: the folders of the repository that the objects come from.
    """
    gaps = [gap for gap in verdict.coverage.gaps if gap.is_fatal]
    if gaps:
        return ReconcileOutcome.failed("NotJudged", f"{gaps[0].file}: {gaps[0].reason}")
    names = {(value["kind"], get_field(value, ("metadata", "name"))) for value in objects}
    findings = [
        finding
        for finding in verdict.active_findings
        if finding.severity == "error"
        and (
            (finding.resource_ref and (finding.resource_ref.kind, finding.resource_ref.name) in names)
            or any(_is_below(finding.location.file, folder) for folder in folders)
        )
    ]
    if not findings:
        return None
    shown = "; ".join(
        f"{finding.location.file}:{finding.location.line}: {finding.rule}: {finding.message}"
        for finding in findings[:MAX_SHOWN]
    )
    more = f" (and {len(findings) - MAX_SHOWN} more)" if len(findings) > MAX_SHOWN else ""
    return ReconcileOutcome.failed("Refused", f"{shown}{more}")


def _is_below(file: str, folder: str) -> bool:
    return not folder or file.startswith(f"{folder}/")
