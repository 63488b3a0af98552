"""The status of an Application, as `argocd` and its readers expect it.

Source: argo-cd `pkg/apis/application/v1alpha1/types.go` (`ApplicationStatus`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gatekeeper.apply.inventory import Entry
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.health.builtin import Health
from gatekeeper.argocd.model import Asked, Item, Result
from gatekeeper.argocd.sync import comparison, sync_tasks
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.kube import conditions as kube_conditions
from gatekeeper.model import at

Status = dict[str, Any]
HOOKS = {"PreSync", "Sync", "PostSync", "SyncFail", "PreDelete", "PostDelete"}
# Words for conditions that are written here; others that stand there are not ours to take away.
CONDITIONS = ("InvalidSpecError", "ComparisonError", "Refused", "SyncError", "DeletionError", "PruneHeld")


def resources(items: Sequence[Item], hooks: Iterable[tuple[Entry, Object]] = ()) -> list[Status]:
    """`status.resources`: what there is of it, and how it is."""
    found = []
    for one in items:
        entry = _named(one.entry)
        entry["status"] = one.status
        if one.health is not None:
            entry["health"] = _health(one.health)
        if one.goes:
            entry["requiresPruning"] = True
        value = one.change.value if one.change else one.live
        wave = sync_tasks.wave_of(value) if value else 0
        found.append({**entry, "syncWave": wave} if wave else entry)
    return [*found, *({**_named(entry), "hook": True} for entry, _ in hooks)]


def _named(entry: Entry) -> Status:
    whole = {
        "group": entry.group, "version": entry.version, "kind": entry.kind, "namespace": entry.namespace,
        "name": entry.name,
    }  # fmt: skip
    return {key: text for key, text in whole.items() if text}


def _health(one: Health) -> Status:
    return {"status": one.word, **({"message": one.message} if one.message else {})}


def compared(asked: Asked, items: Sequence[Item], hooks: Iterable[tuple[Entry, Object]]) -> Status:
    """What a comparison says."""
    state = comparison.health_of(items)
    types = list(asked.types)
    found: Status = {
        "sync": {"status": comparison.status_of(items), "comparedTo": _asked(asked.value), **revisions(asked)},
        "health": {"status": state.word}, "resources": resources(items, hooks), "summary": _summary(items),
    }  # fmt: skip
    return {**found, **({"sourceTypes": types} if _is_several(asked) else {"sourceType": types[0] if types else ""})}


def _is_several(asked: Asked) -> bool:
    return bool(at(asked.value, ("spec", "sources")))


def revisions(asked: Asked) -> Status:
    """Which commits; one, or one for each source."""
    if _is_several(asked):
        return {"revisions": list(asked.revisions)}
    return {"revision": asked.revisions[0] if asked.revisions else ""}


def sources(value: Object) -> Status:
    """What an Application says of where it comes from."""
    spec = value["spec"]
    if spec.get("sources"):
        return {"source": {"repoURL": ""}, "sources": spec["sources"]}
    return {"source": spec.get("source") or {"repoURL": ""}}


def _asked(value: Object) -> Status:
    spec = value["spec"]
    found = {**sources(value), "destination": spec.get("destination") or {}}
    return {**found, **({"ignoreDifferences": spec["ignoreDifferences"]} if spec.get("ignoreDifferences") else {})}


def unknown(value: Object) -> Status:
    """What is said where nothing could be compared; what was known of the objects stays."""
    return {"sync": {"status": "Unknown", "comparedTo": _asked(value)}, "health": {"status": "Unknown"}}


def _summary(items: Sequence[Item]) -> Status:
    images = {image for one in items for image in _images(one.live)}
    return {"images": sorted(images)} if images else {}


def _images(live: Object | None) -> list[str]:
    pod = at(live, ("spec", "template", "spec")) or at(live, ("spec", "jobTemplate", "spec", "template", "spec"))
    if pod is None and live is not None and live.get("kind") == "Pod":
        pod = live.get("spec")
    listed = [*(at(pod, ("containers",)) or ()), *(at(pod, ("initContainers",)) or ())]
    return [str(one["image"]) for one in listed if isinstance(one, dict) and one.get("image")]


def conditions(value: Object, own: Mapping[str, str], now: float) -> list[Status]:
    """The conditions: ours, and those of others as they are.

    Args:
        own: a message by each word that counts now.
    """
    held = at(value, ("status", "conditions"))
    known = [one for one in (held if isinstance(held, list) else ()) if isinstance(one, dict)]
    others = [one for one in known if one.get("type") not in CONDITIONS]
    found = []
    for word, message in own.items():
        same = next((one for one in known if (one.get("type"), one.get("message")) == (word, message)), {})
        when = same.get("lastTransitionTime") or kube_conditions.time_of(now)
        found.append({"type": word, "message": message[: kube_conditions.MOST_MESSAGE], "lastTransitionTime": when})
    return [*others, *found]


def result(one: Result) -> Status:
    """A result, as `operationState.syncResult.resources` has it."""
    found = {
        "group": one.entry.group, "version": one.entry.version, "kind": one.entry.kind,
        "namespace": one.entry.namespace, "name": one.entry.name, "message": one.message, "hookPhase": one.running,
        "syncPhase": one.phase,
    }  # fmt: skip
    more = {"status": one.status, "hookType": one.hook}
    return {**found, **{key: text for key, text in more.items() if text}}


def results(state: Any) -> list[Result]:
    """What an operation has done, as its state has it."""
    held = at(state, ("syncResult", "resources"))
    found = []
    for one in held if isinstance(held, list) else ():
        entry = comparison.entry_in(one)
        running: Any = one.get("hookPhase") or "Running"
        phase: Any = one.get("syncPhase") or "Sync"
        status, message, hook = (str(one.get(name) or "") for name in ("status", "message", "hookType"))
        found.append(Result(entry, phase, status, running, message, hook))
    return found


def history(value: Object, asked: Asked, state: Status, application: Application) -> list[Status]:
    """What was deployed lately, the newest last."""
    held = at(value, ("status", "history"))
    before = held if isinstance(held, list) else []
    entry = {
        "id": max((int(one.get("id") or 0) for one in before), default=-1) + 1, **revisions(asked),
        **sources(asked.value), "deployStartedAt": state["startedAt"], "deployedAt": state["finishedAt"],
        "initiatedBy": at(state, ("operation", "initiatedBy")) or {},
    }  # fmt: skip
    return [*before, entry][-application.history :] if application.history > 0 else []


def hooks(objects: Iterable[Object]) -> list[Object]:
    """Those of some hooks that are done, in a sync or when the Application is deleted."""
    return [one for one in objects if set(sync_tasks.hooks_of(one)) & HOOKS]


def patch(before: Any, now: Any) -> Any:
    """What has to be merged into something so that it is something else; what is there no more is null."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return now
    found = {key: patch(before.get(key), held) for key, held in now.items() if before.get(key) != held}
    return {**found, **{key: None for key in before if key not in now}}
