"""Whether an object in the cluster is as it shall be, on its way there, or will not get there: as kstatus has it.

Source: cli-utils `pkg/kstatus/status`; kustomize-controller's own reading of Jobs, which are there
only when they are complete. Tests compare this with the real library.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from gatekeeper.apply.order import Object, group_of
from gatekeeper.model import get_field

KStatus = Literal["Current", "InProgress", "Failed", "Terminating"]
# So long a Pod may wait for a node.
SCHEDULE_WINDOW_SECONDS = 15.0
NO_DEADLINE = 2**31 - 1


class KStatusResult(NamedTuple):
    """What an object is, and why."""

    status: KStatus
    reason: str = ""


CURRENT = KStatusResult("Current")


def compute_status(value: Object, now: datetime.datetime) -> KStatusResult:
    """What an object of the cluster is."""
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
        return KStatusResult("Terminating", "it is being deleted")
    generation, observed = (
        get_field(value, ("metadata", "generation")),
        get_field(value, ("status", "observedGeneration")),
    )
    if isinstance(generation, int) and isinstance(observed, int) and generation != observed:
        return KStatusResult("InProgress", "its latest change was not seen yet")
    for condition in _list_conditions(value):
        if condition.get("status") == "True" and condition.get("type") == "Reconciling":
            return KStatusResult("InProgress", _condition_message(condition))
        if condition.get("status") == "True" and condition.get("type") == "Stalled":
            return KStatusResult("Failed", _condition_message(condition))
    return None


def _list_conditions(value: Object) -> list[Mapping[str, Any]]:
    held = get_field(value, ("status", "conditions"))
    return [one for one in held if isinstance(one, dict)] if isinstance(held, list) else []


def _condition_message(condition: Mapping[str, Any]) -> str:
    return str(condition.get("message") or condition.get("reason") or condition.get("type"))


def _read_count(value: Object, section: str, name: str, default: int = 0) -> int:
    held = get_field(value, (section, name))
    return held if isinstance(held, int) and not isinstance(held, bool) else default


def _has_true_condition(value: Object, condition_type: str) -> bool:
    return any(one.get("type") == condition_type and one.get("status") == "True" for one in _list_conditions(value))


def _find_shortfall(*counts: tuple[str, int, int]) -> KStatusResult | None:
    """The first count that is smaller than it shall be."""
    for name, held, wanted in counts:
        if wanted > held:
            return KStatusResult("InProgress", f"{name}: {held} of {wanted}")
    return None


def _assume_current(value: Object, now: datetime.datetime) -> KStatusResult:
    return CURRENT


def _check_deployment(value: Object, now: datetime.datetime) -> KStatusResult:
    # Without a deadline nothing is said of progress.
    progressing = _read_count(value, "spec", "progressDeadlineSeconds", NO_DEADLINE) == NO_DEADLINE
    for condition in _list_conditions(value):
        if condition.get("type") != "Progressing":
            continue
        if condition.get("reason") == "ProgressDeadlineExceeded":
            return KStatusResult("Failed", "it did not get on within its deadline")
        is_done = condition.get("status") == "True" and condition.get("reason") == "NewReplicaSetAvailable"
        progressing = progressing or is_done
    wanted = _read_count(value, "spec", "replicas", 1)
    names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    replicas, updated, ready, available = (_read_count(value, "status", name) for name in names)
    lacking = _find_shortfall(
        ("replicas", replicas, wanted),
        ("updated", updated, wanted),
        ("to end", wanted, replicas),
        ("available", available, updated),
        ("ready", ready, wanted),
    )
    if lacking is not None:
        return lacking
    if not progressing:
        return KStatusResult("InProgress", "its new Pods are not all there")
    return CURRENT if _has_true_condition(value, "Available") else KStatusResult("InProgress", "it is not available")


def _check_stateful_set(value: Object, now: datetime.datetime) -> KStatusResult:
    strategy = get_field(value, ("spec", "updateStrategy"))
    if get_field(strategy, ("type",)) == "OnDelete":
        return CURRENT
    wanted = _read_count(value, "spec", "replicas", 1)
    names = ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas")
    replicas, ready, current, updated = (_read_count(value, "status", name) for name in names)
    lacking = _find_shortfall(("replicas", replicas, wanted), ("ready", ready, wanted), ("to end", wanted, replicas))
    if lacking is not None:
        return lacking
    partition = get_field(strategy, ("rollingUpdate", "partition"))
    if isinstance(partition, int) and partition != -1:
        return _find_shortfall(("updated", updated, wanted - partition)) or CURRENT
    lacking = _find_shortfall(("current", current, wanted))
    if lacking is not None:
        return lacking
    revisions = [get_field(value, ("status", name)) or "" for name in ("currentRevision", "updateRevision")]
    return CURRENT if revisions[0] == revisions[1] else KStatusResult("InProgress", "its Pods are of two revisions")


def _check_replica_set(value: Object, now: datetime.datetime) -> KStatusResult:
    if _has_true_condition(value, "ReplicaFailure"):
        return KStatusResult("InProgress", "its Pods cannot be made")
    wanted = _read_count(value, "spec", "replicas", 1)
    names = ("fullyLabeledReplicas", "availableReplicas", "readyReplicas", "replicas")
    labelled, available, ready, replicas = (_read_count(value, "status", name) for name in names)
    return (
        _find_shortfall(
            ("labelled", labelled, wanted),
            ("available", available, wanted),
            ("ready", ready, wanted),
            ("to end", wanted, replicas),
        )
        or CURRENT
    )


def _check_daemon_set(value: Object, now: datetime.datetime) -> KStatusResult:
    seen = (get_field(value, ("metadata", "generation")), get_field(value, ("status", "observedGeneration")))
    wanted = _read_count(value, "status", "desiredNumberScheduled", -1)
    if not all(isinstance(one, int) for one in seen) or wanted == -1:
        return KStatusResult("InProgress", "nobody has seen to it yet")
    names = ("currentNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady")
    return _find_shortfall(*((name, _read_count(value, "status", name), wanted) for name in names)) or CURRENT


def _check_volume_claim(value: Object, now: datetime.datetime) -> KStatusResult:
    phase = get_field(value, ("status", "phase"))
    return CURRENT if phase == "Bound" else KStatusResult("InProgress", f"it is not bound: {phase or 'unknown'}")


def _check_pod(value: Object, now: datetime.datetime) -> KStatusResult:
    phase = get_field(value, ("status", "phase")) or ""
    if phase in ("Succeeded", "Failed"):
        return CURRENT
    if phase == "Running":
        if _has_true_condition(value, "Ready"):
            return CURRENT
        held = get_field(value, ("status", "containerStatuses"))
        crashing = [
            str(get_field(one, ("name",)))
            for one in (held if isinstance(held, list) else ())
            if get_field(one, ("state", "waiting", "reason")) == "CrashLoopBackOff"
        ]
        if crashing:
            return KStatusResult("Failed", f"it crashes again and again: {', '.join(crashing)}")
        return KStatusResult("InProgress", "it runs, and is not ready")
    for condition in _list_conditions(value) if phase == "Pending" else ():
        kind, status, reason = (condition.get(name) for name in ("type", "status", "reason"))
        if (kind, status, reason) == ("PodScheduled", "False", "Unschedulable") and _age_seconds(
            value, now
        ) > SCHEDULE_WINDOW_SECONDS:
            return KStatusResult("Failed", "no node takes it")
    return KStatusResult("InProgress", "it does not run yet")


def _age_seconds(value: Object, now: datetime.datetime) -> float:
    try:
        made = datetime.datetime.fromisoformat(str(get_field(value, ("metadata", "creationTimestamp"))))
    except ValueError:
        return float("inf")
    return (now - made).total_seconds()


def _check_job(value: Object, now: datetime.datetime) -> KStatusResult:
    if _has_true_condition(value, "Complete"):
        return CURRENT
    if _has_true_condition(value, "Failed"):
        return KStatusResult("Failed", "it failed")
    return KStatusResult("InProgress", "it is not complete")


def _check_service(value: Object, now: datetime.datetime) -> KStatusResult:
    if get_field(value, ("spec", "type")) == "LoadBalancer" and not get_field(value, ("spec", "clusterIP")):
        return KStatusResult("InProgress", "it has no address")
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
    return KStatusResult("InProgress", "it is being installed")


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
