"""The status of an Application, written where it is another than before."""

from __future__ import annotations

from typing import Any

from gatekeeper.apply.changes import STATUS_MANAGER
from gatekeeper.argocd import application_spec
from gatekeeper.argocd import status as argocd_status
from gatekeeper.argocd.sync import operation
from gatekeeper.argocd.sync.operation import OperationState
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.kube import conditions


def build_failed_operation_state(value: Object, message: str, now: float) -> OperationState:
    """The state of an operation that could not even begin."""
    when = conditions.format_time(now)
    return {
        "operation": value["operation"],
        "phase": "Error",
        "message": message[: conditions.MAX_MESSAGE_LENGTH],
        "startedAt": when,
        "finishedAt": when,
    }


def write_status(
    cluster: DynamicClient,
    value: Object,
    new_status: dict[str, Any],
    now: float,
    refresh_annotation: str = "",
    finalizers: list[str] | None = None,
) -> Object:
    """Writes what of a status is another than before; with the wishes that are fulfilled, which are taken away.

    Args:
        refresh_annotation: the annotation by which somebody wanted it to be compared.
        finalizers: those that it must have, if they are others than it has.

    Raises:
        ToolError: it was changed meanwhile, or the cluster does not take it.
    """
    before: dict[str, Any] = value.get("status") or {}
    whole = {**before, **new_status}
    whole["health"] = _with_transition_time(before.get("health") or {}, whole.get("health") or {}, now)
    for name in ("sourceType", "sourceTypes"):
        if name in before and name not in new_status and ("sourceType" in new_status or "sourceTypes" in new_status):
            whole.pop(name)
    patch: dict[str, Any] = {}
    if whole != before:
        patch["status"] = argocd_status.compute_merge_patch(
            before, {**whole, "reconciledAt": conditions.format_time(now)}
        )
    state = whole.get("operationState")
    if value.get("operation") and state and state != before.get("operationState") and not operation.is_running(state):
        patch["operation"] = None
    if refresh_annotation:
        patch["metadata"] = {"annotations": {refresh_annotation: None}}
        patch.setdefault("status", {})["reconciledAt"] = conditions.format_time(now)
    if finalizers is not None:
        patch.setdefault("metadata", {})["finalizers"] = finalizers
    kind = cluster.find_newest_kind(application_spec.GROUP, application_spec.VERSIONS, "Application")
    if not patch or kind is None:
        return value
    return cluster.patch(kind, value, patch, STATUS_MANAGER)


def _with_transition_time(old: dict[str, Any], new: dict[str, Any], timestamp: float) -> dict[str, Any]:
    """The health, with since when it is so."""
    if not new:
        return old
    is_same = old.get("status") == new.get("status") and old.get("lastTransitionTime")
    return {**new, "lastTransitionTime": old["lastTransitionTime"] if is_same else conditions.format_time(timestamp)}
