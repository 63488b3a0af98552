"""Whether an object in the cluster is as it shall be, on its way there, or will not get there: as kstatus has it.

Source: cli-utils `pkg/kstatus/status`; kustomize-controller's own reading of Jobs, which are there
only when they are complete. Tests compare this with the real library.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from gatekeeper.apply.order import Object, group_of
from gatekeeper.model import at

Word = Literal["Current", "InProgress", "Failed", "Terminating"]
# So long a Pod may wait for a node.
SCHEDULE_SECONDS = 15.0
NO_DEADLINE = 2**31 - 1


class Health(NamedTuple):
    """What an object is, and why."""

    word: Word
    reason: str = ""


CURRENT = Health("Current")


def of(value: Object, now: datetime.datetime) -> Health:
    """What an object of the cluster is."""
    general = _general(value)
    if general is not None:
        return general
    kind, group = str(value.get("kind")), group_of(value)
    check = CHECKS.get(f"{group}/{kind}" if group else kind)
    if check is not None:
        return check(value, now)
    for condition in _conditions(value):
        if condition.get("type") == "Ready":
            if condition.get("status") == "True":
                return CURRENT
            if condition.get("status") in ("False", "Unknown"):
                return Health("InProgress", _said(condition))
    return CURRENT


def _general(value: Object) -> Health | None:
    if at(value, ("metadata", "deletionTimestamp")):
        return Health("Terminating", "it is being deleted")
    generation, observed = at(value, ("metadata", "generation")), at(value, ("status", "observedGeneration"))
    if isinstance(generation, int) and isinstance(observed, int) and generation != observed:
        return Health("InProgress", "its latest change was not seen yet")
    for condition in _conditions(value):
        if condition.get("status") == "True" and condition.get("type") == "Reconciling":
            return Health("InProgress", _said(condition))
        if condition.get("status") == "True" and condition.get("type") == "Stalled":
            return Health("Failed", _said(condition))
    return None


def _conditions(value: Object) -> list[Mapping[str, Any]]:
    held = at(value, ("status", "conditions"))
    return [one for one in held if isinstance(one, dict)] if isinstance(held, list) else []


def _said(condition: Mapping[str, Any]) -> str:
    return str(condition.get("message") or condition.get("reason") or condition.get("type"))


def _count(value: Object, section: str, name: str, default: int = 0) -> int:
    held = at(value, (section, name))
    return held if isinstance(held, int) and not isinstance(held, bool) else default


def _is_true(value: Object, kind: str) -> bool:
    return any(one.get("type") == kind and one.get("status") == "True" for one in _conditions(value))


def _fewer(*steps: tuple[str, int, int]) -> Health | None:
    """The first count that is smaller than it shall be."""
    for name, held, wanted in steps:
        if wanted > held:
            return Health("InProgress", f"{name}: {held} of {wanted}")
    return None


def _always(value: Object, now: datetime.datetime) -> Health:
    return CURRENT


def _deployment(value: Object, now: datetime.datetime) -> Health:
    # Without a deadline nothing is said of progress.
    progressing = _count(value, "spec", "progressDeadlineSeconds", NO_DEADLINE) == NO_DEADLINE
    for condition in _conditions(value):
        if condition.get("type") != "Progressing":
            continue
        if condition.get("reason") == "ProgressDeadlineExceeded":
            return Health("Failed", "it did not get on within its deadline")
        is_done = condition.get("status") == "True" and condition.get("reason") == "NewReplicaSetAvailable"
        progressing = progressing or is_done
    wanted = _count(value, "spec", "replicas", 1)
    names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    replicas, updated, ready, available = (_count(value, "status", name) for name in names)
    lacking = _fewer(
        ("replicas", replicas, wanted), ("updated", updated, wanted), ("to end", wanted, replicas),
        ("available", available, updated), ("ready", ready, wanted),
    )  # fmt: skip
    if lacking is not None:
        return lacking
    if not progressing:
        return Health("InProgress", "its new Pods are not all there")
    return CURRENT if _is_true(value, "Available") else Health("InProgress", "it is not available")


def _stateful_set(value: Object, now: datetime.datetime) -> Health:
    strategy = at(value, ("spec", "updateStrategy"))
    if at(strategy, ("type",)) == "OnDelete":
        return CURRENT
    wanted = _count(value, "spec", "replicas", 1)
    names = ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas")
    replicas, ready, current, updated = (_count(value, "status", name) for name in names)
    lacking = _fewer(("replicas", replicas, wanted), ("ready", ready, wanted), ("to end", wanted, replicas))
    if lacking is not None:
        return lacking
    partition = at(strategy, ("rollingUpdate", "partition"))
    if isinstance(partition, int) and partition != -1:
        return _fewer(("updated", updated, wanted - partition)) or CURRENT
    lacking = _fewer(("current", current, wanted))
    if lacking is not None:
        return lacking
    revisions = [at(value, ("status", name)) or "" for name in ("currentRevision", "updateRevision")]
    return CURRENT if revisions[0] == revisions[1] else Health("InProgress", "its Pods are of two revisions")


def _replica_set(value: Object, now: datetime.datetime) -> Health:
    if _is_true(value, "ReplicaFailure"):
        return Health("InProgress", "its Pods cannot be made")
    wanted = _count(value, "spec", "replicas", 1)
    names = ("fullyLabeledReplicas", "availableReplicas", "readyReplicas", "replicas")
    labelled, available, ready, replicas = (_count(value, "status", name) for name in names)
    return (
        _fewer(
            ("labelled", labelled, wanted), ("available", available, wanted), ("ready", ready, wanted),
            ("to end", wanted, replicas),
        )
        or CURRENT
    )  # fmt: skip


def _daemon_set(value: Object, now: datetime.datetime) -> Health:
    seen = (at(value, ("metadata", "generation")), at(value, ("status", "observedGeneration")))
    wanted = _count(value, "status", "desiredNumberScheduled", -1)
    if not all(isinstance(one, int) for one in seen) or wanted == -1:
        return Health("InProgress", "nobody has seen to it yet")
    names = ("currentNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady")
    return _fewer(*((name, _count(value, "status", name), wanted) for name in names)) or CURRENT


def _claim(value: Object, now: datetime.datetime) -> Health:
    phase = at(value, ("status", "phase"))
    return CURRENT if phase == "Bound" else Health("InProgress", f"it is not bound: {phase or 'unknown'}")


def _pod(value: Object, now: datetime.datetime) -> Health:
    phase = at(value, ("status", "phase")) or ""
    if phase in ("Succeeded", "Failed"):
        return CURRENT
    if phase == "Running":
        if _is_true(value, "Ready"):
            return CURRENT
        held = at(value, ("status", "containerStatuses"))
        crashing = [
            str(at(one, ("name",)))
            for one in (held if isinstance(held, list) else ())
            if at(one, ("state", "waiting", "reason")) == "CrashLoopBackOff"
        ]
        if crashing:
            return Health("Failed", f"it crashes again and again: {', '.join(crashing)}")
        return Health("InProgress", "it runs, and is not ready")
    for condition in _conditions(value) if phase == "Pending" else ():
        kind, status, reason = (condition.get(name) for name in ("type", "status", "reason"))
        if (kind, status, reason) == ("PodScheduled", "False", "Unschedulable") and _age(value, now) > SCHEDULE_SECONDS:
            return Health("Failed", "no node takes it")
    return Health("InProgress", "it does not run yet")


def _age(value: Object, now: datetime.datetime) -> float:
    try:
        made = datetime.datetime.fromisoformat(str(at(value, ("metadata", "creationTimestamp"))))
    except ValueError:
        return float("inf")
    return (now - made).total_seconds()


def _job(value: Object, now: datetime.datetime) -> Health:
    if _is_true(value, "Complete"):
        return CURRENT
    if _is_true(value, "Failed"):
        return Health("Failed", "it failed")
    return Health("InProgress", "it is not complete")


def _service(value: Object, now: datetime.datetime) -> Health:
    if at(value, ("spec", "type")) == "LoadBalancer" and not at(value, ("spec", "clusterIP")):
        return Health("InProgress", "it has no address")
    return CURRENT


def _definition(value: Object, now: datetime.datetime) -> Health:
    for condition in _conditions(value):
        kind, status = condition.get("type"), condition.get("status")
        if (kind, status) == ("NamesAccepted", "False"):
            return Health("Failed", _said(condition))
        if (kind, status) == ("Established", "True"):
            return CURRENT
        if (kind, status) == ("Established", "False") and condition.get("reason") != "Installing":
            return Health("Failed", _said(condition))
    return Health("InProgress", "it is being installed")


CHECKS: dict[str, Callable[[Object, datetime.datetime], Health]] = {
    "Service": _service, "Pod": _pod, "Secret": _always, "ConfigMap": _always, "PersistentVolumeClaim": _claim,
    "apps/StatefulSet": _stateful_set, "apps/DaemonSet": _daemon_set, "apps/Deployment": _deployment,
    "apps/ReplicaSet": _replica_set, "policy/PodDisruptionBudget": _always, "batch/CronJob": _always,
    "batch/Job": _job, "apiextensions.k8s.io/CustomResourceDefinition": _definition,
}  # fmt: skip
