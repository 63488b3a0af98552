"""The status of an object in the cluster, computed as kstatus does: current, in progress, failed, or terminating.

Source: cli-utils `pkg/kstatus/status`; kustomize-controller's own reading of Jobs, which are
current only once they are complete. Tests compare this with the real library.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any, Literal

from gatekeeper.apply.order import group_of
from gatekeeper.model import Object, get_field
from gatekeeper.named_tuple import NamedTuple

KStatus = Literal["Current", "InProgress", "Failed", "Terminating"]
# How long a Pod may be unschedulable before it counts as failed.
SCHEDULE_WINDOW_SECONDS = 15.0
NO_DEADLINE = 2**31 - 1


class KStatusResult(NamedTuple):
    """A status, and the reason for it."""

    status: KStatus
    reason: str = ""


CURRENT = KStatusResult("Current")


def compute_status(value: Object, now: datetime.datetime) -> KStatusResult:
    """The status of an object.

    Args:
        now: with a time zone.
    """
    general = _check_generic(value)
    if general is not None:
        return general
    kind, group = str(value.get("kind")), group_of(value)
    check = STATUS_CHECKS.get(f"{group}/{kind}" if group else kind)
    if check is not None:
        return check(value, now)
    for condition in _list_conditions(value):
        if condition.get("type") == "Ready":
            if condition.get("status") == "True":
                return CURRENT
            if condition.get("status") in ("False", "Unknown"):
                return KStatusResult("InProgress", _condition_message(condition))
    return CURRENT


def _check_generic(value: Object) -> KStatusResult | None:
    if get_field(value, ("metadata", "deletionTimestamp")):
        return KStatusResult("Terminating", "is being deleted")
    generation, observed = (
        get_field(value, ("metadata", "generation")),
        get_field(value, ("status", "observedGeneration")),
    )
    if isinstance(generation, int) and isinstance(observed, int) and generation != observed:
        return KStatusResult("InProgress", "its controller has not observed the latest change")
    for condition in _list_conditions(value):
        if condition.get("status") == "True" and condition.get("type") == "Reconciling":
            return KStatusResult("InProgress", _condition_message(condition))
        if condition.get("status") == "True" and condition.get("type") == "Stalled":
            return KStatusResult("Failed", _condition_message(condition))
    return None


def _list_conditions(value: Object) -> list[Mapping[str, Any]]:
    conditions = get_field(value, ("status", "conditions"))
    return [entry for entry in conditions if isinstance(entry, dict)] if isinstance(conditions, list) else []


def _condition_message(condition: Mapping[str, Any]) -> str:
    return str(condition.get("message") or condition.get("reason") or condition.get("type"))


def _read_count(value: Object, section: str, name: str, default: int = 0) -> int:
    count = get_field(value, (section, name))
    return count if isinstance(count, int) and not isinstance(count, bool) else default


def _has_true_condition(value: Object, condition_type: str) -> bool:
    return any(
        condition.get("type") == condition_type and condition.get("status") == "True"
        for condition in _list_conditions(value)
    )


def _find_shortfall(*counts: tuple[str, int, int]) -> KStatusResult | None:
    """The first count that is smaller than expected: name, actual and expected count each."""
    for name, actual, expected in counts:
        if expected > actual:
            return KStatusResult("InProgress", f"{name}: {actual} of {expected}")
    return None


def _assume_current(value: Object, now: datetime.datetime) -> KStatusResult:
    return CURRENT


def _check_deployment(value: Object, now: datetime.datetime) -> KStatusResult:
    # Without a deadline there is no Progressing condition.
    progressing = _read_count(value, "spec", "progressDeadlineSeconds", NO_DEADLINE) == NO_DEADLINE
    for condition in _list_conditions(value):
        if condition.get("type") != "Progressing":
            continue
        if condition.get("reason") == "ProgressDeadlineExceeded":
            return KStatusResult("Failed", "exceeded its progress deadline")
        is_done = condition.get("status") == "True" and condition.get("reason") == "NewReplicaSetAvailable"
        progressing = progressing or is_done
    desired = _read_count(value, "spec", "replicas", 1)
    names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    replicas, updated, ready, available = (_read_count(value, "status", name) for name in names)
    shortfall = _find_shortfall(
        ("replicas", replicas, desired),
        ("updated", updated, desired),
        ("terminating", desired, replicas),
        ("available", available, updated),
        ("ready", ready, desired),
    )
    if shortfall is not None:
        return shortfall
    if not progressing:
        return KStatusResult("InProgress", "its new ReplicaSet is not available yet")
    return CURRENT if _has_true_condition(value, "Available") else KStatusResult("InProgress", "is not available")


def _check_stateful_set(value: Object, now: datetime.datetime) -> KStatusResult:
    strategy = get_field(value, ("spec", "updateStrategy"))
    if get_field(strategy, ("type",)) == "OnDelete":
        return CURRENT
    desired = _read_count(value, "spec", "replicas", 1)
    names = ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas")
    replicas, ready, current, updated = (_read_count(value, "status", name) for name in names)
    shortfall = _find_shortfall(
        ("replicas", replicas, desired), ("ready", ready, desired), ("terminating", desired, replicas)
    )
    if shortfall is not None:
        return shortfall
    partition = get_field(strategy, ("rollingUpdate", "partition"))
    if isinstance(partition, int) and partition != -1:
        return _find_shortfall(("updated", updated, desired - partition)) or CURRENT
    shortfall = _find_shortfall(("current", current, desired))
    if shortfall is not None:
        return shortfall
    revisions = [get_field(value, ("status", name)) or "" for name in ("currentRevision", "updateRevision")]
    return CURRENT if revisions[0] == revisions[1] else KStatusResult("InProgress", "its Pods have different revisions")


def _check_replica_set(value: Object, now: datetime.datetime) -> KStatusResult:
    if _has_true_condition(value, "ReplicaFailure"):
        return KStatusResult("InProgress", "its Pods cannot be created")
    desired = _read_count(value, "spec", "replicas", 1)
    names = ("fullyLabeledReplicas", "availableReplicas", "readyReplicas", "replicas")
    labelled, available, ready, replicas = (_read_count(value, "status", name) for name in names)
    return (
        _find_shortfall(
            ("labelled", labelled, desired),
            ("available", available, desired),
            ("ready", ready, desired),
            ("terminating", desired, replicas),
        )
        or CURRENT
    )


def _check_daemon_set(value: Object, now: datetime.datetime) -> KStatusResult:
    generations = (get_field(value, ("metadata", "generation")), get_field(value, ("status", "observedGeneration")))
    desired = _read_count(value, "status", "desiredNumberScheduled", -1)
    if not all(isinstance(generation, int) for generation in generations) or desired == -1:
        return KStatusResult("InProgress", "its controller has not observed it yet")
    names = ("currentNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady")
    return _find_shortfall(*((name, _read_count(value, "status", name), desired) for name in names)) or CURRENT


def _check_volume_claim(value: Object, now: datetime.datetime) -> KStatusResult:
    phase = get_field(value, ("status", "phase"))
    return CURRENT if phase == "Bound" else KStatusResult("InProgress", f"is not bound: {phase or 'unknown'}")


def _check_pod(value: Object, now: datetime.datetime) -> KStatusResult:
    phase = get_field(value, ("status", "phase")) or ""
    if phase in ("Succeeded", "Failed"):
        return CURRENT
    if phase == "Running":
        if _has_true_condition(value, "Ready"):
            return CURRENT
        containers = get_field(value, ("status", "containerStatuses"))
        crashing = [
            str(get_field(container, ("name",)))
            for container in (containers if isinstance(containers, list) else ())
            if get_field(container, ("state", "waiting", "reason")) == "CrashLoopBackOff"
        ]
        if crashing:
            return KStatusResult("Failed", f"containers in CrashLoopBackOff: {', '.join(crashing)}")
        return KStatusResult("InProgress", "is running and not ready")
    for condition in _list_conditions(value) if phase == "Pending" else ():
        kind, status, reason = (condition.get(name) for name in ("type", "status", "reason"))
        if (kind, status, reason) == ("PodScheduled", "False", "Unschedulable") and _age_seconds(
            value, now
        ) > SCHEDULE_WINDOW_SECONDS:
            return KStatusResult("Failed", "cannot be scheduled on any node")
    return KStatusResult("InProgress", "is not running yet")


def _age_seconds(value: Object, now: datetime.datetime) -> float:
    try:
        created = datetime.datetime.fromisoformat(str(get_field(value, ("metadata", "creationTimestamp"))))
    except ValueError:
        return float("inf")
    return (now - created).total_seconds()


def _check_job(value: Object, now: datetime.datetime) -> KStatusResult:
    if _has_true_condition(value, "Complete"):
        return CURRENT
    if _has_true_condition(value, "Failed"):
        return KStatusResult("Failed", "failed")
    return KStatusResult("InProgress", "is not complete")


def _check_service(value: Object, now: datetime.datetime) -> KStatusResult:
    if get_field(value, ("spec", "type")) == "LoadBalancer" and not get_field(value, ("spec", "clusterIP")):
        return KStatusResult("InProgress", "has no cluster IP")
    return CURRENT


def _check_definition(value: Object, now: datetime.datetime) -> KStatusResult:
    for condition in _list_conditions(value):
        kind, status = condition.get("type"), condition.get("status")
        if (kind, status) == ("NamesAccepted", "False"):
            return KStatusResult("Failed", _condition_message(condition))
        if (kind, status) == ("Established", "True"):
            return CURRENT
        if (kind, status) == ("Established", "False") and condition.get("reason") != "Installing":
            return KStatusResult("Failed", _condition_message(condition))
    return KStatusResult("InProgress", "is being installed")


STATUS_CHECKS: dict[str, Callable[[Object, datetime.datetime], KStatusResult]] = {
    "Service": _check_service,
    "Pod": _check_pod,
    "Secret": _assume_current,
    "ConfigMap": _assume_current,
    "PersistentVolumeClaim": _check_volume_claim,
    "apps/StatefulSet": _check_stateful_set,
    "apps/DaemonSet": _check_daemon_set,
    "apps/Deployment": _check_deployment,
    "apps/ReplicaSet": _check_replica_set,
    "policy/PodDisruptionBudget": _assume_current,
    "batch/CronJob": _assume_current,
    "batch/Job": _check_job,
    "apiextensions.k8s.io/CustomResourceDefinition": _check_definition,
}
