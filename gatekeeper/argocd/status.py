"""The status of an Application, as `argocd` and its readers expect it.

Source: argo-cd `pkg/apis/application/v1alpha1/types.go` (`ApplicationStatus`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.health.builtin import ArgoHealth
from gatekeeper.argocd.model import ApplicationBuild, ComparedObject, ResourceResult
from gatekeeper.argocd.sync import comparison, sync_tasks
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.kube import conditions as kube_conditions
from gatekeeper.model import get_field

StatusFields = dict[str, Any]
HOOK_TYPES = {"PreSync", "Sync", "PostSync", "SyncFail", "PreDelete", "PostDelete"}
# Words for conditions that are written here; others that stand there are not ours to take away.
OWN_CONDITION_TYPES = ("InvalidSpecError", "ComparisonError", "Refused", "SyncError", "DeletionError", "PruneHeld")


def build_resources(
    objects: Sequence[ComparedObject], hooks: Iterable[tuple[InventoryEntry, Object]] = ()
) -> list[StatusFields]:
    """`status.resources`: what there is of it, and how it is."""
    found = []
    for one in objects:
        entry = _build_reference(one.entry)
        entry["status"] = one.status
        if one.health is not None:
            entry["health"] = _build_health(one.health)
        if one.should_prune:
            entry["requiresPruning"] = True
        value = one.change.value if one.change else one.live
        wave = sync_tasks.wave_of(value) if value else 0
        found.append({**entry, "syncWave": wave} if wave else entry)
    return [*found, *({**_build_reference(entry), "hook": True} for entry, _ in hooks)]


def _build_reference(entry: InventoryEntry) -> StatusFields:
    whole = {
        "group": entry.group,
        "version": entry.version,
        "kind": entry.kind,
        "namespace": entry.namespace,
        "name": entry.name,
    }
    return {key: text for key, text in whole.items() if text}


def _build_health(health: ArgoHealth) -> StatusFields:
    return {"status": health.status, **({"message": health.message} if health.message else {})}


def build_comparison(
    build: ApplicationBuild, objects: Sequence[ComparedObject], hooks: Iterable[tuple[InventoryEntry, Object]]
) -> StatusFields:
    """What a comparison says."""
    state = comparison.aggregate_health(objects)
    types = list(build.source_types)
    found: StatusFields = {
        "sync": {
            "status": comparison.aggregate_sync_status(objects),
            "comparedTo": _build_compared_to(build.manifest),
            **build_revisions(build),
        },
        "health": {"status": state.status},
        "resources": build_resources(objects, hooks),
        "summary": _build_summary(objects),
    }
    return {
        **found,
        **({"sourceTypes": types} if _has_multiple_sources(build) else {"sourceType": types[0] if types else ""}),
    }


def _has_multiple_sources(build: ApplicationBuild) -> bool:
    return bool(get_field(build.manifest, ("spec", "sources")))


def build_revisions(build: ApplicationBuild) -> StatusFields:
    """Which commits; one, or one for each source."""
    if _has_multiple_sources(build):
        return {"revisions": list(build.revisions)}
    return {"revision": build.revisions[0] if build.revisions else ""}


def build_sources(value: Object) -> StatusFields:
    """What an Application says of where it comes from."""
    spec = value["spec"]
    if spec.get("sources"):
        return {"source": {"repoURL": ""}, "sources": spec["sources"]}
    return {"source": spec.get("source") or {"repoURL": ""}}


def _build_compared_to(value: Object) -> StatusFields:
    spec = value["spec"]
    found = {**build_sources(value), "destination": spec.get("destination") or {}}
    return {**found, **({"ignoreDifferences": spec["ignoreDifferences"]} if spec.get("ignoreDifferences") else {})}


def build_unknown_status(value: Object) -> StatusFields:
    """What is said where nothing could be compared; what was known of the objects stays."""
    return {"sync": {"status": "Unknown", "comparedTo": _build_compared_to(value)}, "health": {"status": "Unknown"}}


def _build_summary(objects: Sequence[ComparedObject]) -> StatusFields:
    images = {image for one in objects for image in _list_images(one.live)}
    return {"images": sorted(images)} if images else {}


def _list_images(live: Object | None) -> list[str]:
    pod = get_field(live, ("spec", "template", "spec")) or get_field(
        live, ("spec", "jobTemplate", "spec", "template", "spec")
    )
    if pod is None and live is not None and live.get("kind") == "Pod":
        pod = live.get("spec")
    listed = [*(get_field(pod, ("containers",)) or ()), *(get_field(pod, ("initContainers",)) or ())]
    return [str(one["image"]) for one in listed if isinstance(one, dict) and one.get("image")]


def build_conditions(value: Object, messages: Mapping[str, str], now: float) -> list[StatusFields]:
    """The conditions: ours, and those of others as they are.

    Args:
        messages: a message by each word that counts now.
    """
    held = get_field(value, ("status", "conditions"))
    known = [one for one in (held if isinstance(held, list) else ()) if isinstance(one, dict)]
    others = [one for one in known if one.get("type") not in OWN_CONDITION_TYPES]
    found = []
    for word, message in messages.items():
        same = next((one for one in known if (one.get("type"), one.get("message")) == (word, message)), {})
        when = same.get("lastTransitionTime") or kube_conditions.format_time(now)
        found.append(
            {"type": word, "message": message[: kube_conditions.MAX_MESSAGE_LENGTH], "lastTransitionTime": when}
        )
    return [*others, *found]


def build_result(resource_result: ResourceResult) -> StatusFields:
    """A result, as `operationState.syncResult.resources` has it."""
    found = {
        "group": resource_result.entry.group,
        "version": resource_result.entry.version,
        "kind": resource_result.entry.kind,
        "namespace": resource_result.entry.namespace,
        "name": resource_result.entry.name,
        "message": resource_result.message,
        "hookPhase": resource_result.hook_phase,
        "syncPhase": resource_result.phase,
    }
    more = {"status": resource_result.status, "hookType": resource_result.hook_type}
    return {**found, **{key: text for key, text in more.items() if text}}


def parse_results(state: Any) -> list[ResourceResult]:
    """What an operation has done, as its state has it."""
    held = get_field(state, ("syncResult", "resources"))
    found = []
    for one in held if isinstance(held, list) else ():
        entry = comparison.parse_entry(one)
        running: Any = one.get("hookPhase") or "Running"
        phase: Any = one.get("syncPhase") or "Sync"
        status, message, hook = (str(one.get(name) or "") for name in ("status", "message", "hookType"))
        found.append(ResourceResult(entry, phase, status, running, message, hook))
    return found


def build_history(
    value: Object, build: ApplicationBuild, state: StatusFields, application: Application
) -> list[StatusFields]:
    """What was deployed lately, the newest last."""
    held = get_field(value, ("status", "history"))
    before = held if isinstance(held, list) else []
    entry = {
        "id": max((int(one.get("id") or 0) for one in before), default=-1) + 1,
        **build_revisions(build),
        **build_sources(build.manifest),
        "deployStartedAt": state["startedAt"],
        "deployedAt": state["finishedAt"],
        "initiatedBy": get_field(state, ("operation", "initiatedBy")) or {},
    }
    return [*before, entry][-application.history_limit :] if application.history_limit > 0 else []


def select_hooks(objects: Iterable[Object]) -> list[Object]:
    """Those of some hooks that are done, in a sync or when the Application is deleted."""
    return [one for one in objects if set(sync_tasks.hook_types_of(one)) & HOOK_TYPES]


def compute_merge_patch(current: Any, desired: Any) -> Any:
    """What has to be merged into something so that it is something else; what is there no more is null."""
    if not isinstance(current, dict) or not isinstance(desired, dict):
        return desired
    found = {
        key: compute_merge_patch(current.get(key), held) for key, held in desired.items() if current.get(key) != held
    }
    return {**found, **{key: None for key in current if key not in desired}}
