"""The status of an Application, in the form that `argocd` and other readers expect.

Source: argo-cd `pkg/apis/application/v1alpha1/types.go` (`ApplicationStatus`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.argocd.health.builtin import ArgoHealth
from gatekeeper.argocd.model import ApplicationBuild, ComparedObject
from gatekeeper.argocd.sync import comparison
from gatekeeper.argocd.sync.sync_tasks import hook_types_of, wave_of
from gatekeeper.kube.conditions import MAX_MESSAGE_LENGTH, format_time
from gatekeeper.model import Object, get_field

StatusFields = dict[str, Any]
HOOK_TYPES = {"PreSync", "Sync", "PostSync", "SyncFail", "PreDelete", "PostDelete"}
# The condition types that this controller writes; conditions of other types are kept as they are.
OWN_CONDITION_TYPES = ("InvalidSpecError", "ComparisonError", "Refused", "SyncError", "DeletionError", "PruneHeld")


def build_comparison(
    build: ApplicationBuild, objects: Sequence[ComparedObject], hooks: Iterable[tuple[InventoryEntry, Object]]
) -> StatusFields:
    """Build the status fields of a comparison: sync, health, resources, summary and source type."""
    source_types = list(build.source_types)
    status: StatusFields = {
        "sync": {
            "status": comparison.aggregate_sync_status(objects),
            "comparedTo": _build_compared_to(build.manifest),
            **build_revisions(build),
        },
        "health": {"status": comparison.aggregate_health(objects).status},
        "resources": build_resources(objects, hooks),
        "summary": _build_summary(objects),
    }
    if _has_multiple_sources(build):
        return {**status, "sourceTypes": source_types}
    return {**status, "sourceType": source_types[0] if source_types else ""}


def build_resources(
    objects: Sequence[ComparedObject], hooks: Iterable[tuple[InventoryEntry, Object]] = ()
) -> list[StatusFields]:
    """Build `status.resources`: every object with its sync status and health, then the hooks."""
    resources = []
    for compared in objects:
        resource = _build_reference(compared.entry)
        resource["status"] = compared.status
        if compared.health is not None:
            resource["health"] = _build_health(compared.health)
        if compared.should_prune:
            resource["requiresPruning"] = True
        value = compared.change.value if compared.change else compared.live
        wave = wave_of(value) if value else 0
        resources.append({**resource, "syncWave": wave} if wave else resource)
    return [*resources, *({**_build_reference(entry), "hook": True} for entry, _ in hooks)]


def _build_reference(entry: InventoryEntry) -> StatusFields:
    reference = {
        "group": entry.group,
        "version": entry.version,
        "kind": entry.kind,
        "namespace": entry.namespace,
        "name": entry.name,
    }
    return {key: text for key, text in reference.items() if text}


def _build_health(health: ArgoHealth) -> StatusFields:
    return {"status": health.status, **({"message": health.message} if health.message else {})}


def _has_multiple_sources(build: ApplicationBuild) -> bool:
    return bool(get_field(build.manifest, ("spec", "sources")))


def build_revisions(build: ApplicationBuild) -> StatusFields:
    """Build the field `revision`, or `revisions` for an Application with several sources."""
    if _has_multiple_sources(build):
        return {"revisions": list(build.revisions)}
    return {"revision": build.revisions[0] if build.revisions else ""}


def build_sources(value: Object) -> StatusFields:
    """Build the field `source`, and `sources` for an Application with several sources."""
    spec = value["spec"]
    if spec.get("sources"):
        return {"source": {"repoURL": ""}, "sources": spec["sources"]}
    return {"source": spec.get("source") or {"repoURL": ""}}


def _build_compared_to(value: Object) -> StatusFields:
    spec = value["spec"]
    compared_to = {**build_sources(value), "destination": spec.get("destination") or {}}
    ignored = {"ignoreDifferences": spec["ignoreDifferences"]} if spec.get("ignoreDifferences") else {}
    return {**compared_to, **ignored}


def build_unknown_status(value: Object) -> StatusFields:
    """Build the status fields of an Application that could not be compared; `resources` is left as it was."""
    return {"sync": {"status": "Unknown", "comparedTo": _build_compared_to(value)}, "health": {"status": "Unknown"}}


def _build_summary(objects: Sequence[ComparedObject]) -> StatusFields:
    images = {image for compared in objects for image in _list_images(compared.live)}
    return {"images": sorted(images)} if images else {}


def _list_images(live: Object | None) -> list[str]:
    pod = get_field(live, ("spec", "template", "spec")) or get_field(
        live, ("spec", "jobTemplate", "spec", "template", "spec")
    )
    if pod is None and live is not None and live.get("kind") == "Pod":
        pod = live.get("spec")
    containers = [*(get_field(pod, ("containers",)) or ()), *(get_field(pod, ("initContainers",)) or ())]
    return [str(item["image"]) for item in containers if isinstance(item, dict) and item.get("image")]


def build_conditions(value: Object, messages: Mapping[str, str], now: float) -> list[StatusFields]:
    """Build `status.conditions`: the current conditions of other controllers, and ours.

    Args:
        messages: the message of each of our conditions, by type.
        now: seconds since 1970.
    """
    listed = get_field(value, ("status", "conditions"))
    current = [item for item in (listed if isinstance(listed, list) else ()) if isinstance(item, dict)]
    conditions = [item for item in current if item.get("type") not in OWN_CONDITION_TYPES]
    for condition_type, message in messages.items():
        same = next(
            (item for item in current if (item.get("type"), item.get("message")) == (condition_type, message)), {}
        )
        since = same.get("lastTransitionTime") or format_time(now)
        conditions.append(
            {"type": condition_type, "message": message[:MAX_MESSAGE_LENGTH], "lastTransitionTime": since}
        )
    return conditions


def select_hooks(objects: Iterable[Object]) -> list[Object]:
    """Select the hooks that run in a sync or when the Application is deleted."""
    return [value for value in objects if set(hook_types_of(value)) & HOOK_TYPES]


def compute_merge_patch(current: Any, desired: Any) -> Any:
    """Compute the JSON merge patch (RFC 7386) from one value to another."""
    if not isinstance(current, dict) or not isinstance(desired, dict):
        return desired
    changed = {
        key: compute_merge_patch(current.get(key), field) for key, field in desired.items() if current.get(key) != field
    }
    return {**changed, **{key: None for key in current if key not in desired}}
