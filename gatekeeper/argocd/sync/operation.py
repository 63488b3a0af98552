"""What is asked of an Application: a sync by somebody, one by itself, or none; and what of it stands in its status.

Source: argo-cd `docs/user-guide/auto_sync.md`, `controller/appcontroller.go` (`autoSync`).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from gatekeeper.argocd import status
from gatekeeper.argocd.application_spec import Application, RetryStrategy, parse_retry
from gatekeeper.argocd.model import ApplicationBuild, ComparedObject, ResourceResult
from gatekeeper.argocd.sync import comparison
from gatekeeper.argocd.sync.sync_options import SyncOptions, parse_sync_options
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.kube import conditions
from gatekeeper.kube.decoder import FieldReader
from gatekeeper.model import get_field

OperationState = dict[str, Any]


def read_operation_state(value: Object) -> OperationState:
    """The state of the last operation; empty where there was none."""
    held = get_field(value, ("status", "operationState"))
    return held if isinstance(held, dict) else {}


def is_running(state: OperationState) -> bool:
    """Whether an operation is not at its end."""
    return state.get("phase") in ("Running", "Terminating")


def plan_auto_sync(
    build: ApplicationBuild, objects: Sequence[ComparedObject], state: OperationState
) -> tuple[OperationState | None, str]:
    """The sync that an Application does by itself; None where it does none, and if need be why.

    One attempt for what is asked: what failed is not done again before something is another.
    """
    policy = build.application.auto_sync
    if policy is None or comparison.aggregate_sync_status(objects) == "Synced":
        return None, ""
    # What is on its way out needs no more.
    off = [
        one for one in objects if one.status == "OutOfSync" and not (one.should_prune and _is_being_deleted(one.live))
    ]
    if not off or (all(one.should_prune for one in off) and not policy.should_prune):
        return None, ""
    if policy.should_prune and not policy.is_empty_allowed and all(one.should_prune for one in objects):
        return None, "nothing is left of it: it is not emptied by itself (`allowEmpty`)"
    sync: OperationState = (
        {"prune": True, **status.build_revisions(build)} if policy.should_prune else status.build_revisions(build)
    )
    operation = {"sync": sync, "initiatedBy": {"automated": True}}
    if _is_already_synced(build, state):
        if state.get("phase") != "Succeeded":
            return (
                None,
                f"the last sync to {_format_revisions(build)} failed, and is not done again by "
                f"itself: {state.get('message')}",
            )
        if not policy.should_self_heal:
            return None, ""
        # Hooks are for what is new in Git.
        return {**operation, "sync": {**sync, "resources": [_to_sync_resource(one) for one in off]}}, ""
    return operation, ""


def _is_being_deleted(live: Object | None) -> bool:
    return bool(get_field(live, ("metadata", "deletionTimestamp")))


def _format_revisions(build: ApplicationBuild) -> str:
    return ", ".join(one[:7] for one in build.revisions)


def _is_already_synced(build: ApplicationBuild, state: OperationState) -> bool:
    """Whether the last sync was of the same commits, and of what was asked the same."""
    done = state.get("syncResult") or {}
    own = {**status.build_revisions(build), **status.build_sources(build.manifest)}
    return all(done.get(name) == held for name, held in own.items())


def find_superseding_revision(build: ApplicationBuild, state: OperationState) -> str:
    """Why an operation cannot be gone on with; empty where it is of the commits that are known now."""
    own, done = status.build_revisions(build), state.get("syncResult") or {}
    if all(done.get(name) == held for name, held in own.items()):
        return ""
    return f"there is something new in Git, {_format_revisions(build)}: it begins anew"


def _to_sync_resource(item: ComparedObject) -> OperationState:
    entry = item.entry
    return {"group": entry.group, "kind": entry.kind, "namespace": entry.namespace, "name": entry.name}


def start_operation(build: ApplicationBuild, operation: OperationState, now: float) -> OperationState:
    """The state of an operation that begins."""
    return {
        "operation": operation,
        "phase": "Running",
        "startedAt": conditions.format_time(now),
        "message": "it begins",
        "syncResult": {
            "revision": "",
            **status.build_revisions(build),
            **status.build_sources(build.manifest),
            "resources": [],
        },
    }


def set_results(state: OperationState, results: Sequence[ResourceResult], message: str) -> OperationState:
    """A state with what was done so far."""
    done = {**(state.get("syncResult") or {}), "resources": [status.build_result(one) for one in results]}
    return {**state, "syncResult": done, "message": message[: conditions.MAX_MESSAGE_LENGTH]}


def finish_operation(
    state: OperationState, phase: str, message: str, now: float, retry: RetryStrategy
) -> OperationState:
    """A state at its end; or, where it failed and is tried again, until then."""
    count = int(state.get("retryCount") or 0)
    found = {
        **state,
        "phase": phase,
        "message": message[: conditions.MAX_MESSAGE_LENGTH],
        "finishedAt": conditions.format_time(now),
    }
    if phase != "Failed" or not (retry.limit < 0 or count < retry.limit):
        return found
    words = f"{message}; tried again in {retry.compute_delay(count):g} seconds ({count + 1})"
    return {**found, "phase": "Running", "retryCount": count + 1, "message": words[: conditions.MAX_MESSAGE_LENGTH]}


def seconds_until_retry(state: OperationState, retry: RetryStrategy, now: float) -> float:
    """Seconds until what failed is tried again; 0 where it is its time."""
    finished = state.get("finishedAt")
    if not finished:
        return 0.0
    when = datetime.datetime.fromisoformat(str(finished)).timestamp()
    return max(0.0, when + retry.compute_delay(int(state.get("retryCount") or 1) - 1) - now)


def restart_operation(state: OperationState) -> OperationState:
    """A state that is tried again."""
    found = {key: held for key, held in state.items() if key != "finishedAt"}
    return set_results(found, (), "it is tried again")


def resolve_retry(application: Application, operation: OperationState) -> RetryStrategy:
    """How often what failed is tried again: as the operation says, or the Application.

    Raises:
        FieldError: it is not valid.
    """
    held = operation.get("retry")
    return parse_retry(FieldReader(held, ("operation", "retry"))) if held else application.retry


def resolve_sync_options(application: Application, operation: OperationState) -> SyncOptions:
    """What counts in an operation: what it says itself before what the Application does.

    Raises:
        SpecError: an option is not known.
    """
    listed = get_field(operation, ("sync", "syncOptions"))
    own = [str(one) for one in listed] if isinstance(listed, list) else []
    return parse_sync_options([*application.sync_options, *own], "the Application")


def find_refusal(build: ApplicationBuild, operation: OperationState) -> str:
    """Why an operation is not done; empty where it is."""
    sync = operation.get("sync")
    if not isinstance(sync, dict):
        return "it asks for nothing that is known: `operation.sync` is missing"
    for name in ("manifests", "source", "sources"):
        if sync.get(name):
            return f"`operation.sync.{name}` is not supported: what is not in Git is not applied"
    wanted = [str(one) for one in sync.get("revisions") or [sync.get("revision") or ""]]
    known = [
        (commit, source.revision) for commit, source in zip(build.revisions, build.application.sources, strict=True)
    ]
    for one, own in zip(wanted, known, strict=False):
        if one and one not in own:
            return f"it asks for {one}, and the Application targets {own[1]}: change its `targetRevision`"
    return ""


def list_selected_resources(operation: OperationState) -> list[tuple[str, str, str, str]]:
    """Which objects alone an operation is about, by group, kind, namespace and name; none for all."""
    listed = get_field(operation, ("sync", "resources"))
    names = ("group", "kind", "namespace", "name")
    return [
        (
            str(one.get(names[0]) or ""),
            str(one.get(names[1]) or ""),
            str(one.get(names[2]) or ""),
            str(one.get(names[3]) or ""),
        )
        for one in (listed if isinstance(listed, list) else ())
    ]
