"""How well Kubernetes' own objects are, in Argo CD's words.

Source: argo-cd `gitops-engine/pkg/health`, `resource_customizations`. Tests run Argo CD's own cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import orjson

from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.model import at

Word = Literal["Healthy", "Suspended", "Progressing", "Missing", "Degraded", "Unknown"]
# From the best to the worst.
WORDS: tuple[Word, ...] = ("Healthy", "Suspended", "Progressing", "Missing", "Degraded", "Unknown")


class Health(NamedTuple):
    """How well something is, and why."""

    word: Word
    message: str = ""


def worst(words: Iterable[Word]) -> Word:
    """The worst of some; nothing at all is well."""
    return max(words, key=WORDS.index, default="Healthy")


def _number(value: Object, *path: str) -> int:
    held = at(value, path)
    return held if isinstance(held, int) and not isinstance(held, bool) else 0


def conditions(value: Object) -> list[Mapping[str, Any]]:
    """The conditions of an object."""
    held = at(value, ("status", "conditions"))
    return [one for one in held if isinstance(one, dict)] if isinstance(held, list) else []


def condition(value: Object, name: str) -> Mapping[str, Any]:
    """A condition; empty where there is none of that name."""
    return next((one for one in conditions(value) if one.get("type") == name), {})


def said(one: Mapping[str, Any]) -> str:
    """What a condition says."""
    return str(one.get("message") or "")


def _is_seen(value: Object) -> bool:
    return _number(value, "metadata", "generation") <= _number(value, "status", "observedGeneration")


UNSEEN = Health("Progressing", "its latest change was not seen yet")


def _deployment(value: Object) -> Health:
    if at(value, ("spec", "paused")):
        return Health("Suspended", "it is paused")
    if not _is_seen(value):
        return UNSEEN
    progress = condition(value, "Progressing")
    if progress.get("reason") == "ProgressDeadlineExceeded":
        return Health("Degraded", "it did not get on within its deadline")
    wanted = at(value, ("spec", "replicas"))
    replicas, updated, available = (
        _number(value, "status", name) for name in ("replicas", "updatedReplicas", "availableReplicas")
    )
    if isinstance(wanted, int) and updated < wanted:
        return Health("Progressing", f"{updated} of {wanted} Pods are new")
    if replicas > updated:
        return Health("Progressing", f"{replicas - updated} old Pods are to end")
    if available < updated:
        return Health("Progressing", f"{available} of {updated} new Pods are available")
    return Health("Healthy")


def _replica_set(value: Object) -> Health:
    if not _is_seen(value):
        return UNSEEN
    failure = condition(value, "ReplicaFailure")
    if failure.get("status") == "True":
        return Health("Degraded", said(failure))
    wanted, available = at(value, ("spec", "replicas")), _number(value, "status", "availableReplicas")
    if isinstance(wanted, int) and available < wanted:
        return Health("Progressing", f"{available} of {wanted} Pods are available")
    return Health("Healthy")


def _stateful_set(value: Object) -> Health:
    if not at(value, ("status", "observedGeneration")) or not _is_seen(value):
        return UNSEEN
    wanted = at(value, ("spec", "replicas"))
    ready, updated = (_number(value, "status", name) for name in ("readyReplicas", "updatedReplicas"))
    if isinstance(wanted, int) and ready < wanted:
        return Health("Progressing", f"{ready} of {wanted} Pods are ready")
    strategy = at(value, ("spec", "updateStrategy"))
    partition = at(strategy, ("rollingUpdate", "partition"))
    if at(strategy, ("type",)) == "RollingUpdate" and isinstance(partition, int):
        if isinstance(wanted, int) and updated < wanted - partition:
            return Health("Progressing", f"{updated} of {wanted - partition} Pods are new")
        return Health("Healthy")
    if at(strategy, ("type",)) == "OnDelete":
        return Health("Healthy")
    if at(value, ("status", "updateRevision")) != at(value, ("status", "currentRevision")):
        return Health("Progressing", f"{updated} Pods are new")
    return Health("Healthy")


def _daemon_set(value: Object) -> Health:
    if not _is_seen(value):
        return UNSEEN
    if at(value, ("spec", "updateStrategy", "type")) == "OnDelete":
        return Health("Healthy")
    wanted = _number(value, "status", "desiredNumberScheduled")
    for name, text in (("updatedNumberScheduled", "new"), ("numberAvailable", "available")):
        if _number(value, "status", name) < wanted:
            return Health("Progressing", f"{_number(value, 'status', name)} of {wanted} Pods are {text}")
    return Health("Healthy")


def _pod(value: Object) -> Health:
    phase, message = at(value, ("status", "phase")), str(at(value, ("status", "message")) or "")
    statuses = at(value, ("status", "containerStatuses")) or []
    if at(value, ("spec", "restartPolicy")) in (None, "Always"):
        for one in statuses:
            reason = str(at(one, ("state", "waiting", "reason")) or "")
            if reason.startswith("Err") or reason.endswith(("Error", "BackOff")):
                return Health("Degraded", str(at(one, ("state", "waiting", "message")) or reason))
    if phase == "Pending":
        return Health("Progressing", message)
    if phase == "Succeeded":
        return Health("Healthy", message)
    if phase == "Failed":
        words = [message, *(str(at(one, ("state", "terminated", "message")) or "") for one in statuses)]
        return Health("Degraded", next((one for one in words if one), ""))
    if phase == "Running":
        if at(value, ("spec", "restartPolicy")) in ("OnFailure", "Never"):
            return Health("Progressing", message)
        if condition(value, "Ready").get("status") == "True":
            return Health("Healthy", message)
        ended = [one for one in statuses if at(one, ("lastState", "terminated"))]
        return Health("Degraded" if ended else "Progressing", message)
    return Health("Unknown", message)


def _service(value: Object) -> Health:
    if at(value, ("spec", "type")) != "LoadBalancer" or at(value, ("status", "loadBalancer", "ingress")):
        return Health("Healthy")
    return Health("Progressing", "it has no address")


def _ingress(value: Object) -> Health:
    return Health("Healthy" if at(value, ("status", "loadBalancer", "ingress")) else "Progressing")


def _claim(value: Object) -> Health:
    words: dict[Any, Word] = {"Lost": "Degraded", "Pending": "Progressing", "Bound": "Healthy"}
    return Health(words.get(at(value, ("status", "phase")), "Unknown"))


def _job(value: Object) -> Health:
    failed, complete = condition(value, "Failed"), condition(value, "Complete")
    if failed.get("status") == "True":
        return Health("Degraded", said(failed))
    if complete.get("status") == "True":
        return Health("Healthy", said(complete))
    if condition(value, "Suspended").get("status") == "True":
        return Health("Suspended")
    return Health("Progressing")


# Where the first version of autoscalers has its conditions.
SCALING = "autoscaling.alpha.kubernetes.io/conditions"
LOST = {
    "AbleToScale": ("FailedGetScale", "FailedUpdateScale"),
    "ScalingActive": ("FailedGetResourceMetric", "InvalidSelector"),
}  # fmt: skip


def _autoscaler(value: Object) -> Health:
    held = conditions(value)
    noted = at(value, ("metadata", "annotations", SCALING))
    if value["apiVersion"] == "autoscaling/v1" and isinstance(noted, str):
        try:
            held = orjson.loads(noted)
        except orjson.JSONDecodeError:
            return Health("Unknown", f"its annotation {SCALING} is no JSON")
    # The first that decides it counts.
    for one in held:
        if one.get("reason") in LOST.get(str(one.get("type")), ()):
            return Health("Degraded", said(one))
        if one.get("status") == "True" and one.get("type") in ("AbleToScale", "ScalingLimited"):
            return Health("Healthy", said(one))
    return Health("Progressing", "Waiting to Autoscale")


def _service_api(value: Object) -> Health:
    one = condition(value, "Available")
    return Health("Healthy" if one.get("status") == "True" else "Progressing", said(one))


CHECKS: dict[str, Callable[[Object], Health]] = {
    "apps/Deployment": _deployment, "apps/ReplicaSet": _replica_set, "apps/StatefulSet": _stateful_set,
    "apps/DaemonSet": _daemon_set, "Pod": _pod, "Service": _service, "networking.k8s.io/Ingress": _ingress,
    "extensions/Ingress": _ingress, "PersistentVolumeClaim": _claim, "batch/Job": _job,
    "autoscaling/HorizontalPodAutoscaler": _autoscaler, "apiregistration.k8s.io/APIService": _service_api,
}  # fmt: skip
