"""Argo CD's built-in health checks of Kubernetes' own kinds.

Source: argo-cd `gitops-engine/pkg/health`, `resource_customizations`. Tests run Argo CD's own cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import orjson

from gatekeeper.kube.conditions import find_condition
from gatekeeper.model import Object, get_field
from gatekeeper.named_tuple import NamedTuple

HealthStatus = Literal["Healthy", "Suspended", "Progressing", "Missing", "Degraded", "Unknown"]
# From best to worst.
HEALTH_STATUSES: tuple[HealthStatus, ...] = ("Healthy", "Suspended", "Progressing", "Missing", "Degraded", "Unknown")


class ArgoHealth(NamedTuple):
    """A health status and its reason."""

    status: HealthStatus
    message: str = ""


NOT_OBSERVED = ArgoHealth("Progressing", "waiting until its controller has observed the latest change")


def find_worst(statuses: Iterable[HealthStatus]) -> HealthStatus:
    """Return the worst status; `Healthy` if there are none."""
    return max(statuses, key=HEALTH_STATUSES.index, default="Healthy")


def _read_int(value: Object, *path: str) -> int:
    number = get_field(value, path)
    return number if isinstance(number, int) and not isinstance(number, bool) else 0


def _message_of(condition: Mapping[str, Any]) -> str:
    return str(condition.get("message") or "")


def _is_observed(value: Object) -> bool:
    return _read_int(value, "metadata", "generation") <= _read_int(value, "status", "observedGeneration")


def _check_deployment(value: Object) -> ArgoHealth:
    if get_field(value, ("spec", "paused")):
        return ArgoHealth("Suspended", "the Deployment is paused")
    if not _is_observed(value):
        return NOT_OBSERVED
    if find_condition(value, "Progressing").get("reason") == "ProgressDeadlineExceeded":
        return ArgoHealth("Degraded", "the Deployment exceeded its progress deadline")
    desired = get_field(value, ("spec", "replicas"))
    replicas, updated, available = (
        _read_int(value, "status", name) for name in ("replicas", "updatedReplicas", "availableReplicas")
    )
    if isinstance(desired, int) and updated < desired:
        return ArgoHealth("Progressing", f"rollout: {updated} of {desired} replicas are updated")
    if replicas > updated:
        return ArgoHealth("Progressing", f"rollout: {replicas - updated} old replicas are pending termination")
    if available < updated:
        return ArgoHealth("Progressing", f"rollout: {available} of {updated} updated replicas are available")
    return ArgoHealth("Healthy")


def _check_replica_set(value: Object) -> ArgoHealth:
    if not _is_observed(value):
        return NOT_OBSERVED
    failure = find_condition(value, "ReplicaFailure")
    if failure.get("status") == "True":
        return ArgoHealth("Degraded", _message_of(failure))
    desired, available = get_field(value, ("spec", "replicas")), _read_int(value, "status", "availableReplicas")
    if isinstance(desired, int) and available < desired:
        return ArgoHealth("Progressing", f"rollout: {available} of {desired} replicas are available")
    return ArgoHealth("Healthy")


def _check_stateful_set(value: Object) -> ArgoHealth:
    if not get_field(value, ("status", "observedGeneration")) or not _is_observed(value):
        return NOT_OBSERVED
    desired = get_field(value, ("spec", "replicas"))
    ready, updated = (_read_int(value, "status", name) for name in ("readyReplicas", "updatedReplicas"))
    if isinstance(desired, int) and ready < desired:
        return ArgoHealth("Progressing", f"rollout: {ready} of {desired} replicas are ready")
    strategy = get_field(value, ("spec", "updateStrategy"))
    partition = get_field(strategy, ("rollingUpdate", "partition"))
    if get_field(strategy, ("type",)) == "RollingUpdate" and isinstance(partition, int):
        if isinstance(desired, int) and updated < desired - partition:
            return ArgoHealth("Progressing", f"rollout: {updated} of {desired - partition} replicas are updated")
        return ArgoHealth("Healthy")
    if get_field(strategy, ("type",)) == "OnDelete":
        return ArgoHealth("Healthy")
    if get_field(value, ("status", "updateRevision")) != get_field(value, ("status", "currentRevision")):
        return ArgoHealth("Progressing", f"rollout: {updated} replicas are updated")
    return ArgoHealth("Healthy")


def _check_daemon_set(value: Object) -> ArgoHealth:
    if not _is_observed(value):
        return NOT_OBSERVED
    if get_field(value, ("spec", "updateStrategy", "type")) == "OnDelete":
        return ArgoHealth("Healthy")
    desired = _read_int(value, "status", "desiredNumberScheduled")
    for name, word in (("updatedNumberScheduled", "updated"), ("numberAvailable", "available")):
        count = _read_int(value, "status", name)
        if count < desired:
            return ArgoHealth("Progressing", f"rollout: {count} of {desired} Pods are {word}")
    return ArgoHealth("Healthy")


def _check_pod(value: Object) -> ArgoHealth:
    phase, message = get_field(value, ("status", "phase")), str(get_field(value, ("status", "message")) or "")
    containers = get_field(value, ("status", "containerStatuses")) or []
    restart_policy = get_field(value, ("spec", "restartPolicy"))
    if restart_policy in (None, "Always"):
        for container in containers:
            reason = str(get_field(container, ("state", "waiting", "reason")) or "")
            if reason.startswith("Err") or reason.endswith(("Error", "BackOff")):
                return ArgoHealth("Degraded", str(get_field(container, ("state", "waiting", "message")) or reason))
    if phase == "Pending":
        return ArgoHealth("Progressing", message)
    if phase == "Succeeded":
        return ArgoHealth("Healthy", message)
    if phase == "Failed":
        causes = (str(get_field(container, ("state", "terminated", "message")) or "") for container in containers)
        return ArgoHealth("Degraded", message or next((cause for cause in causes if cause), ""))
    if phase == "Running":
        if restart_policy in ("OnFailure", "Never"):
            return ArgoHealth("Progressing", message)
        if find_condition(value, "Ready").get("status") == "True":
            return ArgoHealth("Healthy", message)
        has_restarted = any(get_field(container, ("lastState", "terminated")) for container in containers)
        return ArgoHealth("Degraded" if has_restarted else "Progressing", message)
    return ArgoHealth("Unknown", message)


def _check_service(value: Object) -> ArgoHealth:
    if get_field(value, ("spec", "type")) != "LoadBalancer" or get_field(value, ("status", "loadBalancer", "ingress")):
        return ArgoHealth("Healthy")
    return ArgoHealth("Progressing", "the load balancer has no address yet")


def _check_ingress(value: Object) -> ArgoHealth:
    return ArgoHealth("Healthy" if get_field(value, ("status", "loadBalancer", "ingress")) else "Progressing")


def _check_volume_claim(value: Object) -> ArgoHealth:
    statuses: dict[Any, HealthStatus] = {"Lost": "Degraded", "Pending": "Progressing", "Bound": "Healthy"}
    return ArgoHealth(statuses.get(get_field(value, ("status", "phase")), "Unknown"))


def _check_job(value: Object) -> ArgoHealth:
    failed, complete = find_condition(value, "Failed"), find_condition(value, "Complete")
    if failed.get("status") == "True":
        return ArgoHealth("Degraded", _message_of(failed))
    if complete.get("status") == "True":
        return ArgoHealth("Healthy", _message_of(complete))
    if find_condition(value, "Suspended").get("status") == "True":
        return ArgoHealth("Suspended")
    return ArgoHealth("Progressing")


# The annotation in which autoscaling/v1 keeps its conditions.
AUTOSCALING_CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
FAILED_SCALING_REASONS = {
    "AbleToScale": ("FailedGetScale", "FailedUpdateScale"),
    "ScalingActive": ("FailedGetResourceMetric", "InvalidSelector"),
}


def _check_autoscaler(value: Object) -> ArgoHealth:
    conditions = get_field(value, ("status", "conditions"))
    annotation = get_field(value, ("metadata", "annotations", AUTOSCALING_CONDITIONS))
    if value["apiVersion"] == "autoscaling/v1" and isinstance(annotation, str):
        try:
            conditions = orjson.loads(annotation)
        except orjson.JSONDecodeError:
            return ArgoHealth("Unknown", f"the annotation {AUTOSCALING_CONDITIONS} is not valid JSON")
    # The first condition that decides counts.
    for condition in (entry for entry in conditions if isinstance(entry, dict)) if isinstance(conditions, list) else ():
        if condition.get("reason") in FAILED_SCALING_REASONS.get(str(condition.get("type")), ()):
            return ArgoHealth("Degraded", _message_of(condition))
        if condition.get("status") == "True" and condition.get("type") in ("AbleToScale", "ScalingLimited"):
            return ArgoHealth("Healthy", _message_of(condition))
    return ArgoHealth("Progressing", "Waiting to Autoscale")


def _check_api_service(value: Object) -> ArgoHealth:
    available = find_condition(value, "Available")
    return ArgoHealth("Healthy" if available.get("status") == "True" else "Progressing", _message_of(available))


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
