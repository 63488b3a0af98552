"""From what is done with Kustomizations and Applications to entries of the audit log: who, what, why, what changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gatekeeper.apply.inventory import entry_of
from gatekeeper.apply.model import AuditEvent
from gatekeeper.cluster.reflector import NamespacedName
from gatekeeper.controller.runtime import audit_log
from gatekeeper.model import Finding, Verdict, format_path
from gatekeeper.repositories.provenance import CommitProvenance

# Of one object so many fields are told.
MAX_FIELDS = 20


class AuditRecorder:
    """Adds to a log what is done; what is as it was before is not told again.

    Args:
        credits_: by kind, whom the commit is owed to that something, by namespace and name, is applied from.
    """

    def __init__(
        self, log: audit_log.AuditLog, provenance_by_kind: Mapping[str, Callable[[NamespacedName], CommitProvenance]]
    ) -> None:
        self._log, self._provenance_by_kind = log, provenance_by_kind
        self._last_outcomes: dict[tuple[str, NamespacedName], tuple[str, str]] = {}

    def record(self, event: AuditEvent) -> None:
        """Adds an entry.

        Raises:
            ToolError: it cannot be written.
        """
        done = event.result
        name, came = done.build.name, (done.outcome.reason, done.outcome.message)
        kind = str(done.build.kustomization.get("kind"))
        credit = self._provenance_by_kind[kind](name) if kind in self._provenance_by_kind else CommitProvenance()
        changes = _list_changes(event)
        if event.step == "done":
            if not changes and self._last_outcomes.get((kind, name)) == came:
                return
            self._last_outcomes[kind, name] = came
        entry: dict[str, Any] = {
            "step": event.step,
            "kind": kind,
            "object": "/".join(name),
            "revision": event.revision,
            "author": credit.author,
            "reason": done.outcome.reason,
            "message": done.outcome.message,
            "changes": changes,
        }
        entry |= {key: text for key, text in (("signer", credit.signer), ("change", credit.pull_request)) if text}
        if event.approved_revision:
            entry["approved"] = event.approved_revision
        if event.verdict is not None:
            entry |= {"policies": event.verdict.policy_digest, "engine": list(event.verdict.engine)}
            entry["waivers"] = _list_waivers(event.verdict, event)
        self._log.append(entry)


def _list_changes(event: AuditEvent) -> list[dict[str, Any]]:
    """What is done with each object; which fields, but never what is in them."""
    told: list[dict[str, Any]] = []
    for change in event.result.changes:
        if change.action == "unchanged":
            continue
        one: dict[str, Any] = {"object": str(change), "action": change.action}
        if change.fields:
            one["fields"] = [format_path(field) for field in change.fields[:MAX_FIELDS]]
        if change.changed_by:
            one["changedBy"] = change.changed_by
        told.append(one)
    told += [{"object": str(one.entry), "action": one.action} for one in event.result.pruned if one.action != "gone"]
    return told


def _list_waivers(verdict: Verdict, event: AuditEvent) -> list[dict[str, str]]:
    """By which exceptions what is applied was accepted."""
    own = {(one.kind, one.name) for one in map(entry_of, event.result.build.objects)}
    return [_format_waiver(one) for one in verdict.findings if one.waiver and _is_about(one, own)]


def _is_about(finding: Finding, applied: set[tuple[str, str]]) -> bool:
    return finding.resource_ref is not None and (finding.resource_ref.kind, finding.resource_ref.name) in applied


def _format_waiver(finding: Finding) -> dict[str, str]:
    held = finding.waiver
    assert held is not None
    return {
        "rule": finding.rule,
        "object": str(finding.resource_ref),
        "reason": held.reason,
        "expires": held.expires,
        "owner": held.owner,
        "ticket": held.ticket,
    }
