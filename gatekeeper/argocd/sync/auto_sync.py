"""Automated syncs: when an Application is synced without a request.

Source: argo-cd `docs/user-guide/auto_sync.md`, `controller/appcontroller.go` (`autoSync`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatekeeper.argocd import status
from gatekeeper.argocd.model import ApplicationBuild, ComparedObject
from gatekeeper.argocd.sync import comparison
from gatekeeper.argocd.sync.operation import OperationState, SyncRequest, parse_request
from gatekeeper.model import Object, get_field
from gatekeeper.named_tuple import NamedTuple


class AutoSyncDecision(NamedTuple):
    """Whether to sync.

    Attributes:
        request: the sync to run; None for none.
        blocked_reason: why a sync that is needed does not run; empty if none is needed.
    """

    request: SyncRequest | None = None
    blocked_reason: str = ""


def decide_auto_sync(
    build: ApplicationBuild, objects: Sequence[ComparedObject], last_operation: OperationState | None
) -> AutoSyncDecision:
    """Decide whether an Application is synced now.

    A failed sync is not repeated before its revision or spec has changed.
    """
    policy = build.application.auto_sync
    if policy is None or comparison.aggregate_sync_status(objects) == "Synced":
        return AutoSyncDecision()
    # An object that is being deleted already needs no sync.
    out_of_sync = [
        compared
        for compared in objects
        if compared.status == "OutOfSync" and not (compared.should_prune and _is_being_deleted(compared.live))
    ]
    if not out_of_sync or (all(compared.should_prune for compared in out_of_sync) and not policy.should_prune):
        return AutoSyncDecision()
    if policy.should_prune and not policy.is_empty_allowed and all(compared.should_prune for compared in objects):
        return AutoSyncDecision(
            blocked_reason="the sources contain no objects any more; set `allowEmpty` to prune the last ones"
        )
    sync: dict[str, Any] = status.build_revisions(build)
    if policy.should_prune:
        sync = {"prune": True, **sync}
    if last_operation is None or not _is_of_same_sources(build, last_operation):
        return AutoSyncDecision(_build_request(sync))
    if last_operation.phase != "Succeeded":
        return AutoSyncDecision(
            blocked_reason=f"the last sync to {format_revisions(build)} failed and is not repeated automatically: "
            f"{last_operation.message}"
        )
    if not policy.should_self_heal:
        return AutoSyncDecision()
    # Limited to the drifted objects, so that hooks run for new revisions only.
    return AutoSyncDecision(_build_request({**sync, "resources": [_to_selector(compared) for compared in out_of_sync]}))


def _build_request(sync: dict[str, Any]) -> SyncRequest:
    return parse_request({"sync": sync, "initiatedBy": {"automated": True}})


def _is_being_deleted(live: Object | None) -> bool:
    return bool(get_field(live, ("metadata", "deletionTimestamp")))


def _to_selector(compared: ComparedObject) -> dict[str, str]:
    entry = compared.entry
    return {"group": entry.group, "kind": entry.kind, "namespace": entry.namespace, "name": entry.name}


def _is_of_same_sources(build: ApplicationBuild, state: OperationState) -> bool:
    return state.has_synced({**status.build_revisions(build), **status.build_sources(build.manifest)})


def find_superseding_revision(build: ApplicationBuild, state: OperationState) -> str:
    """Return why a running operation cannot continue; empty if it is of the current revisions."""
    if state.has_synced(status.build_revisions(build)):
        return ""
    return f"superseded by revision {format_revisions(build)}: a new sync is needed"


def format_revisions(build: ApplicationBuild) -> str:
    """Format the revisions of an Application, abbreviated, for messages."""
    return ", ".join(revision[:7] for revision in build.revisions)
