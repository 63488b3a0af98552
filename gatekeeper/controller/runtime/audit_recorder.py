"""From what is done with Kustomizations and Applications to entries of the audit log: who, what, why, what changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gatekeeper.apply.inventory import entry_of
from gatekeeper.apply.model import Act
from gatekeeper.cluster.reflector import Name
from gatekeeper.controller.runtime import audit_log
from gatekeeper.model import Finding, Verdict, dotted
from gatekeeper.repositories.provenance import Credit

# Of one object so many fields are told.
MOST_FIELDS = 20


class Recorder:
    """Adds to a log what is done; what is as it was before is not told again.

    Args:
        credits_: by kind, whom the commit is owed to that something, by namespace and name, is applied from.
    """

    def __init__(self, log: audit_log.Log, credits_: Mapping[str, Callable[[Name], Credit]]) -> None:
        self._log, self._credits = log, credits_
        self._last: dict[tuple[str, Name], tuple[str, str]] = {}

    def note(self, act: Act) -> None:
        """Adds an entry.

        Raises:
            ToolError: it cannot be written.
        """
        done = act.done
        name, came = done.asked.name, (done.outcome.reason, done.outcome.message)
        kind = str(done.asked.kustomization.get("kind"))
        credit = self._credits[kind](name) if kind in self._credits else Credit()
        changes = _changes(act)
        if act.step == "done":
            if not changes and self._last.get((kind, name)) == came:
                return
            self._last[kind, name] = came
        entry: dict[str, Any] = {
            "step": act.step, "kind": kind, "object": "/".join(name), "revision": act.revision,
            "author": credit.author,
            "reason": done.outcome.reason, "message": done.outcome.message, "changes": changes,
        }  # fmt: skip
        entry |= {key: text for key, text in (("signer", credit.signer), ("change", credit.change)) if text}
        if act.approved:
            entry["approved"] = act.approved
        if act.verdict is not None:
            entry |= {"policies": act.verdict.policies, "engine": list(act.verdict.engine)}
            entry["waivers"] = _waivers(act.verdict, act)
        self._log.add(entry)


def _changes(act: Act) -> list[dict[str, Any]]:
    """What is done with each object; which fields, but never what is in them."""
    told: list[dict[str, Any]] = []
    for change in act.done.changes:
        if change.action == "unchanged":
            continue
        one: dict[str, Any] = {"object": str(change), "action": change.action}
        if change.fields:
            one["fields"] = [dotted(field) for field in change.fields[:MOST_FIELDS]]
        if change.by:
            one["changedBy"] = change.by
        told.append(one)
    told += [{"object": str(one.entry), "action": one.action} for one in act.done.gone if one.action != "gone"]
    return told


def _waivers(verdict: Verdict, act: Act) -> list[dict[str, str]]:
    """By which exceptions what is applied was accepted."""
    own = {(one.kind, one.name) for one in map(entry_of, act.done.asked.objects)}
    return [_waiver(one) for one in verdict.findings if one.waived and _is_of(one, own)]


def _is_of(finding: Finding, own: set[tuple[str, str]]) -> bool:
    return finding.resource is not None and (finding.resource.kind, finding.resource.name) in own


def _waiver(finding: Finding) -> dict[str, str]:
    held = finding.waived
    assert held is not None
    return {
        "rule": finding.rule, "object": str(finding.resource), "reason": held.reason, "expires": held.expires,
        "owner": held.owner, "ticket": held.ticket,
    }  # fmt: skip
