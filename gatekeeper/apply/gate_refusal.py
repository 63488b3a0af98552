"""Why nothing is applied: the gate refuses something of it, or could not judge."""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.apply.model import Outcome
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.model import Verdict, at


def refusal(verdict: Verdict, objects: Sequence[Object], folders: Sequence[str]) -> Outcome | None:
    """Why some objects are not applied; None where they may be.

    Args:
        folders: of the repository, from which they come.
    """
    lost = [gap for gap in verdict.coverage.skipped if gap.fatal]
    if lost:
        return Outcome(False, "NotJudged", f"{lost[0].file}: {lost[0].reason}")
    own = {(one["kind"], at(one, ("metadata", "name"))) for one in objects}
    found = [
        one
        for one in verdict.counting
        if one.severity == "error"
        and (
            (one.resource and (one.resource.kind, one.resource.name) in own)
            or any(_below(one.place.file, folder) for folder in folders)
        )
    ]
    if not found:
        return None
    shown = "; ".join(f"{one.place.file}:{one.place.line}: {one.rule}: {one.message}" for one in found[:3])
    more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
    return Outcome(False, "Refused", f"{shown}{more}")


def _below(file: str, folder: str) -> bool:
    return not folder or file.startswith(f"{folder}/")
