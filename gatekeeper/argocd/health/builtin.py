"""How well Kubernetes' own objects are, in Argo CD's words.

Source: argo-cd `gitops-engine/pkg/health`, `resource_customizations`. Tests run Argo CD's own cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import orjson

from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.model import get_field

HealthStatus = Literal["Healthy", "Suspended", "Progressing", "Missing", "Degraded", "Unknown"]
# From the best to the worst.
HEALTH_STATUSES: tuple[HealthStatus, ...] = ("Healthy", "Suspended", "Progressing", "Missing", "Degraded", "Unknown")


class ArgoHealth(NamedTuple):
    """How well something is, and why."""

    status: HealthStatus
    message: str = ""


def find_worst(statuses: Iterable[HealthStatus]) -> HealthStatus:
    """The worst of some; nothing at all is well."""
    return max(statuses, key=HEALTH_STATUSES.index, default="Healthy")


def _read_int(value: Object, *path: str) -> int:
    held = get_field(value, path)
    return held if isinstance(held, int) and not isinstance(held, bool) else 0


def list_conditions(value: Object) -> list[Mapping[str, Any]]:
    """The conditions of an object."""
    held = get_field(value, ("status", "conditions"))
    return [one for one in held if isinstance(one, dict)] if isinstance(held, list) else []


def find_condition(value: Object, condition_type: str) -> Mapping[str, Any]:
    """A condition; empty where there is none of that name."""
    return next((one for one in list_conditions(value) if one.get("type") == condition_type), {})


def condition_message(entry: Mapping[str, Any]) -> str:
    """What a condition says."""
    return str(entry.get("message") or "")


def _is_observed(value: Object) -> bool:
    return _read_int(value, "metadata", "generation") <= _read_int(value, "status", "observedGeneration")


NOT_OBSERVED = ArgoHealth("Progressing", "its latest change was not seen yet")


def _check_deployment(value: Object) -> ArgoHealth:
    if get_field(value, ("spec", "paused")):
        return ArgoHealth("Suspended", "it is paused")
    if not _is_observed(value):
        return NOT_OBSERVED
    progress = find_condition(value, "Progressing")
    if progress.get("reason") == "ProgressDeadlineExceeded":
        return ArgoHealth("Degraded", "it did not get on within its deadline")
    wanted = get_field(value, ("spec", "replicas"))
    replicas, updated, available = (
        _read_int(value, "status", name) for name in ("replicas", "updatedReplicas", "availableReplicas")
    )
    if isinstance(wanted, int) and updated < wanted:
        return ArgoHealth("Progressing", f"{updated} of {wanted} Pods are new")
    if replicas > updated:
        return ArgoHealth("Progressing", f"{replicas - updated} old Pods are to end")
    if available < updated:
        return ArgoHealth("Progressing", f"{available} of {updated} new Pods are available")
    return ArgoHealth("Healthy")


def _check_replica_set(value: Object) -> ArgoHealth:
    if not _is_observed(value):
        return NOT_OBSERVED
    failure = find_condition(value, "ReplicaFailure")
    if failure.get("status") == "True":
        return ArgoHealth("Degraded", condition_message(failure))
    wanted, available = get_field(value, ("spec", "replicas")), _read_int(value, "status", "availableReplicas")
    if isinstance(wanted, int) and available < wanted:
        return ArgoHealth("Progressing", f"{available} of {wanted} Pods are available")
    return ArgoHealth("Healthy")


def _check_stateful_set(value: Object) -> ArgoHealth:
    if not get_field(value, ("status", "observedGeneration")) or not _is_observed(value):
        return NOT_OBSERVED
    wanted = get_field(value, ("spec", "replicas"))
    ready, updated = (_read_int(value, "status", name) for name in ("readyReplicas", "updatedReplicas"))
    if isinstance(wanted, int) and ready < wanted:
        return ArgoHealth("Progressing", f"{ready} of {wanted} Pods are ready")
    strategy = get_field(value, ("spec", "updateStrategy"))
    partition = get_field(strategy, ("rollingUpdate", "partition"))
    if get_field(strategy, ("type",)) == "RollingUpdate" and isinstance(partition, int):
        if isinstance(wanted, int) and updated < wanted - partition:
            return ArgoHealth("Progressing", f"{updated} of {wanted - partition} Pods are new")
        return ArgoHealth("Healthy")
    if get_field(strategy, ("type",)) == "OnDelete":
        return ArgoHealth("Healthy")
    if get_field(value, ("status", "updateRevision")) != get_field(value, ("status", "currentRevision")):
        return ArgoHealth("Progressing", f"{updated} Pods are new")
    return ArgoHealth("Healthy")


def _check_daemon_set(value: Object) -> ArgoHealth:
    if not _is_observed(value):
        return NOT_OBSERVED
    if get_field(value, ("spec", "updateStrategy", "type")) == "OnDelete":
        return ArgoHealth("Healthy")
    wanted = _read_int(value, "status", "desiredNumberScheduled")
    for name, text in (("updatedNumberScheduled", "new"), ("numberAvailable", "available")):
        if _read_int(value, "status", name) < wanted:
            return ArgoHealth("Progressing", f"{_read_int(value, 'status', name)} of {wanted} Pods are {text}")
    return ArgoHealth("Healthy")


def _check_pod(value: Object) -> ArgoHealth:
    phase, message = get_field(value, ("status", "phase")), str(get_field(value, ("status", "message")) or "")
    statuses = get_field(value, ("status", "containerStatuses")) or []
    if get_field(value, ("spec", "restartPolicy")) in (None, "Always"):
        for one in statuses:
            reason = str(get_field(one, ("state", "waiting", "reason")) or "")
            if reason.startswith("Err") or reason.endswith(("Error", "BackOff")):
                return ArgoHealth("Degraded", str(get_field(one, ("state", "waiting", "message")) or reason))
    if phase == "Pending":
        return ArgoHealth("Progressing", message)
    if phase == "Succeeded":
        return ArgoHealth("Healthy", message)
    if phase == "Failed":
        words = [message, *(str(get_field(one, ("state", "terminated", "message")) or "") for one in statuses)]
        return ArgoHealth("Degraded", next((one for one in words if one), ""))
    if phase == "Running":
        if get_field(value, ("spec", "restartPolicy")) in ("OnFailure", "Never"):
            return ArgoHealth("Progressing", message)
        if find_condition(value, "Ready").get("status") == "True":
            return ArgoHealth("Healthy", message)
        ended = [one for one in statuses if get_field(one, ("lastState", "terminated"))]
        return ArgoHealth("Degraded" if ended else "Progressing", message)
    return ArgoHealth("Unknown", message)


def _check_service(value: Object) -> ArgoHealth:
    if get_field(value, ("spec", "type")) != "LoadBalancer" or get_field(value, ("status", "loadBalancer", "ingress")):
        return ArgoHealth("Healthy")
    return ArgoHealth("Progressing", "it has no address")


def _check_ingress(value: Object) -> ArgoHealth:
    return ArgoHealth("Healthy" if get_field(value, ("status", "loadBalancer", "ingress")) else "Progressing")


def _check_volume_claim(value: Object) -> ArgoHealth:
    words: dict[Any, HealthStatus] = {"Lost": "Degraded", "Pending": "Progressing", "Bound": "Healthy"}
    return ArgoHealth(words.get(get_field(value, ("status", "phase")), "Unknown"))


def _check_job(value: Object) -> ArgoHealth:
    failed, complete = find_condition(value, "Failed"), find_condition(value, "Complete")
    if failed.get("status") == "True":
        return ArgoHealth("Degraded", condition_message(failed))
    if complete.get("status") == "True":
        return ArgoHealth("Healthy", condition_message(complete))
    if find_condition(value, "Suspended").get("status") == "True":
        return ArgoHealth("Suspended")
    return ArgoHealth("Progressing")


# Where the first version of autoscalers has its conditions.
AUTOSCALING_CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
FAILED_SCALING_REASONS = {
    "AbleToScale": ("FailedGetScale", "FailedUpdateScale"),
    "ScalingActive": ("FailedGetResourceMetric", "InvalidSelector"),
}


def _check_autoscaler(value: Object) -> ArgoHealth:
    held = list_conditions(value)
    noted = get_field(value, ("metadata", "annotations", AUTOSCALING_CONDITIONS))
    if value["apiVersion"] == "autoscaling/v1" and isinstance(noted, str):
        try:
            held = orjson.loads(noted)
        except orjson.JSONDecodeError:
            return ArgoHealth("Unknown", f"its annotation {AUTOSCALING_CONDITIONS} is no JSON")
    # The first that decides it counts.
    for one in held:
        if one.get("reason") in FAILED_SCALING_REASONS.get(str(one.get("type")), ()):
            return ArgoHealth("Degraded", condition_message(one))
        if one.get("status") == "True" and one.get("type") in ("AbleToScale", "ScalingLimited"):
            return ArgoHealth("Healthy", condition_message(one))
    return ArgoHealth("Progressing", "Waiting to Autoscale")


def _check_api_service(value: Object) -> ArgoHealth:
    one = find_condition(value, "Available")
    return ArgoHealth("Healthy" if one.get("status") == "True" else "Progressing", condition_message(one))


HEALTH_CHECKS: dict[str, Callable[[Object], ArgoHealth]] = {
    "apps/Deployment": _check_deployment,
    "apps/ReplicaSet": _check_replica_set,
    "apps/StatefulSet": _check_stateful_set,
    "apps/DaemonSet": _check_daemon_set,
    "Pod": _check_pod,
    "Service": _check_service,
    "networking.k8s.io/Ingress": _check_ingress,
    "extensions/Ingress": _check_ingress,
    "PersistentVolumeClaim": _check_volume_claim,
    "batch/Job": _check_job,
    "autoscaling/HorizontalPodAutoscaler": _check_autoscaler,
    "apiregistration.k8s.io/APIService": _check_api_service,
}
