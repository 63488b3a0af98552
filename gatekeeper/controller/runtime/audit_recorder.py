"""Audit entries of Kustomizations and Applications: who changed what, why, and from which commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gatekeeper.apply.inventory import entry_of
from gatekeeper.apply.model import AuditEvent
from gatekeeper.controller.runtime.audit_log import AuditLog
from gatekeeper.errors import ToolError
from gatekeeper.model import AppliedWaiver, Finding, NamespacedName, Verdict, format_path
from gatekeeper.repositories.provenance import CommitProvenance

# How many changed fields of one object an entry lists.
MAX_FIELDS = 20
ProvenanceLookup = Callable[[NamespacedName], CommitProvenance]


class AuditRecorder:
    """Appends audit events to the log; an outcome that is the same as the last one is left out.

    Args:
        provenance_by_kind: finds the provenance of the commit that an object is applied from, by the object's kind.
    """

    def __init__(self, log: AuditLog, provenance_by_kind: Mapping[str, ProvenanceLookup]) -> None:
        self._log, self._provenance_by_kind = log, provenance_by_kind
        self._last_outcomes: dict[tuple[str, NamespacedName], tuple[str, str]] = {}

    def record(self, event: AuditEvent) -> None:
        """Append the entry of an event.

        Raises:
            ToolError: the log cannot be written.
        """
        result = event.result
        name, kind = result.build.name, str(result.build.parent.get("kind"))
        outcome = result.outcome.reason, result.outcome.message
        changes = _list_changes(event)
        if event.step == "done":
            if not changes and self._last_outcomes.get((kind, name)) == outcome:
                return
            self._last_outcomes[kind, name] = outcome
        lookup = self._provenance_by_kind.get(kind)
        provenance = lookup(name) if lookup is not None else CommitProvenance()
        entry: dict[str, Any] = {
            "step": event.step,
            "kind": kind,
            "object": str(name),
            "revision": event.revision,
            "author": provenance.author,
            "reason": result.outcome.reason,
            "message": result.outcome.message,
            "changes": changes,
        }
        optional = (
            ("signer", provenance.signer),
            ("change", provenance.pull_request),
            ("approved", event.approved_revision),
        )
        entry |= {key: text for key, text in optional if text}
        if event.verdict is not None:
            entry |= {"policies": event.verdict.policy_digest, "engine": list(event.verdict.engine)}
            entry["waivers"] = _list_waivers(event.verdict, event)
        self._log.append(entry)


def fence_recorder(
    record: Callable[[AuditEvent], None], is_assigned: Callable[[NamespacedName], bool]
) -> Callable[[AuditEvent], None]:
    """Wrap a recorder so that it refuses to record, and thereby to write, once this replica has lost the Lease."""

    def record_if_assigned(event: AuditEvent) -> None:
        # An outcome is recorded in any case: the change has been made.
        if event.step != "done" and not is_assigned(event.result.build.name):
            raise ToolError("this replica has lost the Lease of this shard; another replica may be reconciling it")
        record(event)

    return record_if_assigned


def _list_changes(event: AuditEvent) -> list[dict[str, Any]]:
    """List what is done with each object: which fields change, but never their values."""
    changes: list[dict[str, Any]] = []
    for change in event.result.changes:
        if change.action == "unchanged":
            continue
        entry: dict[str, Any] = {"object": str(change), "action": change.action}
        if change.fields:
            entry["fields"] = [format_path(field) for field in change.fields[:MAX_FIELDS]]
        if change.changed_by:
            entry["changedBy"] = change.changed_by
        changes.append(entry)
    pruned = [result for result in event.result.pruned if result.action != "gone"]
    return changes + [{"object": str(result.entry), "action": result.action} for result in pruned]


def _list_waivers(verdict: Verdict, event: AuditEvent) -> list[dict[str, str]]:
    """List the waivers by which findings on the applied objects were accepted."""
    applied = {(entry.kind, entry.name) for entry in map(entry_of, event.result.build.objects)}
    return [
        _format_waiver(finding, finding.waiver)
        for group in verdict.findings
        for finding in group.members or (group,)
        if finding.waiver is not None
        and finding.resource_ref is not None
        and (finding.resource_ref.kind, finding.resource_ref.name) in applied
    ]


def _format_waiver(finding: Finding, waiver: AppliedWaiver) -> dict[str, str]:
    return {
        "rule": finding.rule,
        "object": str(finding.resource_ref),
        "reason": waiver.reason,
        "expires": waiver.expires,
        "owner": waiver.owner,
        "ticket": waiver.ticket,
    }
