"""The status of an Application, written where it is another than before."""

from __future__ import annotations

from typing import Any

from gatekeeper import telling
from gatekeeper.applications import operations, reading, statuses
from gatekeeper.applications.operations import State
from gatekeeper.cluster.objects import Object, Objects
from gatekeeper.reconciling.applying import TELLER


def lost(value: Object, message: str, now: float) -> State:
    """The state of an operation that could not even begin."""
    when = telling.time_of(now)
    return {
        "operation": value["operation"], "phase": "Error", "message": message[: telling.MOST_MESSAGE],
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
        patch["status"] = statuses.patch(before, {**whole, "reconciledAt": telling.time_of(now)})
    state = whole.get("operationState")
    if value.get("operation") and state and state != before.get("operationState") and not operations.is_running(state):
        patch["operation"] = None
    if refreshed:
        patch["metadata"] = {"annotations": {refreshed: None}}
        patch.setdefault("status", {})["reconciledAt"] = telling.time_of(now)
    if finalizers is not None:
        patch.setdefault("metadata", {})["finalizers"] = finalizers
    kind = cluster.newest(reading.GROUP, reading.VERSIONS, "Application")
    if not patch or kind is None:
        return value
    return cluster.patch(kind, value, patch, TELLER)


def _since(before: dict[str, Any], now: dict[str, Any], moment: float) -> dict[str, Any]:
    """The health, with since when it is so."""
    if not now:
        return before
    is_same = before.get("status") == now.get("status") and before.get("lastTransitionTime")
    return {**now, "lastTransitionTime": before["lastTransitionTime"] if is_same else telling.time_of(moment)}
