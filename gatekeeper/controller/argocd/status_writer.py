"""The status of an Application, written where it is another than before."""

from __future__ import annotations

from typing import Any

from gatekeeper.apply.server_side_apply import TELLER
from gatekeeper.argocd import application_spec
from gatekeeper.argocd import status as argocd_status
from gatekeeper.argocd.sync import operation
from gatekeeper.argocd.sync.operation import State
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.kube import conditions


def lost(value: Object, message: str, now: float) -> State:
    """The state of an operation that could not even begin."""
    when = conditions.time_of(now)
    return {
        "operation": value["operation"], "phase": "Error", "message": message[: conditions.MOST_MESSAGE],
        "startedAt": when, "finishedAt": when,
    }  # fmt: skip


def write(
    cluster: Objects,
    value: Object,
    status: dict[str, Any],
    now: float,
    refreshed: str = "",
    finalizers: list[str] | None = None,
) -> Object:
    """Writes what of a status is another than before; with the wishes that are fulfilled, which are taken away.

    Args:
        refreshed: the annotation by which somebody wanted it to be compared.
        finalizers: those that it must have, if they are others than it has.

    Raises:
        ToolError: it was changed meanwhile, or the cluster does not take it.
    """
    before: dict[str, Any] = value.get("status") or {}
    whole = {**before, **status}
    whole["health"] = _since(before.get("health") or {}, whole.get("health") or {}, now)
    for name in ("sourceType", "sourceTypes"):
        if name in before and name not in status and ("sourceType" in status or "sourceTypes" in status):
            whole.pop(name)
    patch: dict[str, Any] = {}
    if whole != before:
        patch["status"] = argocd_status.patch(before, {**whole, "reconciledAt": conditions.time_of(now)})
    state = whole.get("operationState")
    if value.get("operation") and state and state != before.get("operationState") and not operation.is_running(state):
        patch["operation"] = None
    if refreshed:
        patch["metadata"] = {"annotations": {refreshed: None}}
        patch.setdefault("status", {})["reconciledAt"] = conditions.time_of(now)
    if finalizers is not None:
        patch.setdefault("metadata", {})["finalizers"] = finalizers
    kind = cluster.newest(application_spec.GROUP, application_spec.VERSIONS, "Application")
    if not patch or kind is None:
        return value
    return cluster.patch(kind, value, patch, TELLER)


def _since(before: dict[str, Any], now: dict[str, Any], moment: float) -> dict[str, Any]:
    """The health, with since when it is so."""
    if not now:
        return before
    is_same = before.get("status") == now.get("status") and before.get("lastTransitionTime")
    return {**now, "lastTransitionTime": before["lastTransitionTime"] if is_same else conditions.time_of(moment)}
