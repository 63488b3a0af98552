"""Decides whether the verdict of the gate forbids applying some objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gatekeeper.apply.model import ReconcileOutcome
from gatekeeper.model import Object, ObjectRef, Verdict, build_ref

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
    namespaces = _map_namespaces(objects)
    findings = [
        finding
        for group in verdict.active_findings
        for finding in group.members or (group,)
        if finding.severity == "error"
        and (
            (finding.resource_ref and _has_object(namespaces, finding.resource_ref))
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


def _map_namespaces(objects: Sequence[Object]) -> dict[tuple[str, str], set[str]]:
    namespaces: dict[tuple[str, str], set[str]] = {}
    for value in objects:
        ref = build_ref(value)
        namespaces.setdefault((ref.kind, ref.name), set()).add(ref.namespace)
    return namespaces


def _has_object(namespaces: Mapping[tuple[str, str], set[str]], ref: ObjectRef) -> bool:
    """Whether a reference may mean one of the objects; without a namespace on either side it may be in any."""
    candidates = namespaces.get((ref.kind, ref.name), set())
    return bool(candidates) and (not ref.namespace or not candidates.isdisjoint(("", ref.namespace)))


def _is_below(file: str, folder: str) -> bool:
    return not folder or file.startswith(f"{folder}/")
