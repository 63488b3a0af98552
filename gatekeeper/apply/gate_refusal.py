"""Why nothing is applied: the gate refuses something of it, or could not judge."""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.apply.model import ReconcileOutcome
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.model import Verdict, get_field


def find_refusal(verdict: Verdict, objects: Sequence[Object], folders: Sequence[str]) -> ReconcileOutcome | None:
    """Why some objects are not applied; None where they may be.

    Args:
        folders: of the repository, from which they come.
    """
    lost = [gap for gap in verdict.coverage.gaps if gap.is_fatal]
    if lost:
        return ReconcileOutcome(False, "NotJudged", f"{lost[0].file}: {lost[0].reason}")
    own = {(one["kind"], get_field(one, ("metadata", "name"))) for one in objects}
    found = [
        one
        for one in verdict.active_findings
        if one.severity == "error"
        and (
            (one.resource_ref and (one.resource_ref.kind, one.resource_ref.name) in own)
            or any(_is_below(one.location.file, folder) for folder in folders)
        )
    ]
    if not found:
        return None
    shown = "; ".join(f"{one.location.file}:{one.location.line}: {one.rule}: {one.message}" for one in found[:3])
    more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
    return ReconcileOutcome(False, "Refused", f"{shown}{more}")


def _is_below(file: str, folder: str) -> bool:
    return not folder or file.startswith(f"{folder}/")
