"""Writes the status of an Application, as a patch of what has changed."""

from __future__ import annotations

from typing import Any

from gatekeeper.apply.changes import STATUS_MANAGER
from gatekeeper.argocd import application_spec
from gatekeeper.argocd.status import StatusFields, compute_merge_patch
from gatekeeper.argocd.sync.operation import parse_operation_state
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.kube.conditions import format_time
from gatekeeper.model import Object
from gatekeeper.named_tuple import NamedTuple


class MetadataChange(NamedTuple):
    """Changes of the metadata that are written with a status.

    Attributes:
        handled_annotation: the annotation of a request that was handled, to remove; empty for none.
        finalizers: the finalizers to set; None to leave them.
    """

    handled_annotation: str = ""
    finalizers: list[str] | None = None


NO_METADATA_CHANGE = MetadataChange()


def write_status(
    cluster: DynamicClient,
    value: Object,
    new_status: StatusFields,
    now: float,
    metadata_change: MetadataChange = NO_METADATA_CHANGE,
) -> Object:
    """Write the changed fields of a status; a finished operation is removed from the spec.

    Args:
        new_status: the fields to set; others are kept.
        now: seconds since 1970.

    Returns:
        The Application as it is after the write.

    Raises:
        ToolError: the Application was changed since it was read, or the cluster refuses or does not answer.
    """
    current: StatusFields = value.get("status") or {}
    merged = _merge_status(current, new_status, now)
    patch: dict[str, Any] = {}
    if merged != current:
        patch["status"] = compute_merge_patch(current, {**merged, "reconciledAt": format_time(now)})
    if value.get("operation") and merged.get("operationState") != current.get("operationState"):
        state = parse_operation_state({"status": merged})
        if state is not None and not state.is_running:
            patch["operation"] = None
    if metadata_change.handled_annotation:
        patch["metadata"] = {"annotations": {metadata_change.handled_annotation: None}}
        patch.setdefault("status", {})["reconciledAt"] = format_time(now)
    if metadata_change.finalizers is not None:
        patch.setdefault("metadata", {})["finalizers"] = metadata_change.finalizers
    kind = cluster.find_newest_kind(application_spec.GROUP, application_spec.VERSIONS, "Application")
    if not patch or kind is None:
        return value
    return cluster.patch(kind, value, patch, STATUS_MANAGER)


def _merge_status(current: StatusFields, new_status: StatusFields, now: float) -> StatusFields:
    merged = {**current, **new_status}
    merged["health"] = _with_transition_time(current.get("health") or {}, merged.get("health") or {}, now)
    # An Application has either one source type or several; the other field is from an earlier spec.
    source_type_fields = {"sourceType", "sourceTypes"}
    if source_type_fields & new_status.keys():
        for name in source_type_fields - new_status.keys():
            merged.pop(name, None)
    return merged


def _with_transition_time(current: StatusFields, new: StatusFields, now: float) -> StatusFields:
    """Return a health with the time since when it has its status."""
    if not new:
        return current
    is_same = current.get("status") == new.get("status") and current.get("lastTransitionTime")
    return {**new, "lastTransitionTime": current["lastTransitionTime"] if is_same else format_time(now)}
