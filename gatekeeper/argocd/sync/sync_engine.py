"""A sync, step by step: what it has done stands in the Application's status, and each step goes on from there.

Whoever is ended in the middle of it, or replaced by another replica, leaves nothing that is done twice.
Source: argo-cd `docs/user-guide/{sync-waves,resource_hooks}.md`, `gitops-engine/pkg/sync/sync_context.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from gatekeeper.apply import prune, server_side_apply
from gatekeeper.apply.changes import FIELD_MANAGER, MISSING_DEPENDENCY, ApplyPolicy, ChangeCause, ObjectChange
from gatekeeper.apply.inventory import InventoryEntry, entry_of
from gatekeeper.apply.prune import PruneResult
from gatekeeper.argocd import resource_tracking
from gatekeeper.argocd.destination import DestinationCluster
from gatekeeper.argocd.health import resource_health
from gatekeeper.argocd.model import ComparedObject, OperationPhase, ResourceResult
from gatekeeper.argocd.resource_tracking import TrackingSettings
from gatekeeper.argocd.sync import sync_tasks
from gatekeeper.argocd.sync.comparison import get_object
from gatekeeper.argocd.sync.sync_options import SyncOptions
from gatekeeper.argocd.sync.sync_tasks import SyncTask
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.errors import ToolError
from gatekeeper.model import get_field

# Between two waves, so that other controllers see what came.
WAVE_PAUSE_SECONDS = 2.0


class SyncPlan(NamedTuple):
    """What a sync is to do.

    Attributes:
        tasks: tasks in their order.
        apply_policy: how each object is applied.
        options: what counts for the Application.
        is_prune_confirmed: whether what is to be confirmed was.
        instance_name: the name that objects are marked with.
        record_changes: is told what will be done before it is; where it cannot note it, it is not done.
        dry_run_changes: what applying does, where that was tried just now; it counts for what is done first.
    """

    target: DestinationCluster
    tasks: Sequence[SyncTask]
    apply_policy: ApplyPolicy
    options: SyncOptions
    is_prune_confirmed: bool
    tracking: TrackingSettings
    instance_name: str
    record_changes: Callable[[Sequence[ObjectChange], Sequence[PruneResult]], None]
    dry_run_changes: Mapping[str, ObjectChange] = MappingProxyType({})

    @property
    def has_multiple_waves(self) -> bool:
        """Whether something comes after something else, so that it is waited for what comes first."""
        return len({(task.phase, task.wave) for task in self.tasks if task.phase != "SyncFail"}) > 1


class SyncProgress(NamedTuple):
    """How far a sync is.

    Attributes:
        resume_after: seconds until it may go on, where nothing happens before.
    """

    phase: OperationPhase
    message: str
    results: tuple[ResourceResult, ...]
    resume_after: float | None = None


def advance_sync(plan: SyncPlan, results: Sequence[ResourceResult]) -> SyncProgress:
    """Goes on with a sync as far as it can be gone on with now.

    Args:
        results: what was done so far.

    Raises:
        ToolError: the cluster does not tell, or it cannot be noted.
    """
    held = {_result_key(one): one for one in results}
    while True:
        for key, one in held.items():
            if one.hook_phase == "Running":
                held[key] = _check_result(plan, one)
        waits = [
            one for one in held.values() if one.hook_phase == "Running" and (one.hook_type or plan.has_multiple_waves)
        ]
        failed = [one for one in held.values() if one.hook_phase in ("Failed", "Error")]
        if waits and not (failed and all(one.phase != "SyncFail" for one in waits)):
            return SyncProgress("Running", _format_waiting(waits), tuple(held.values()))
        left = [
            task for task in plan.tasks if _task_key(task) not in held and (task.phase == "SyncFail") == bool(failed)
        ]
        if not left:
            return _finish_sync(plan, tuple(held.values()), failed)
        first = (left[0].phase, left[0].wave)
        group = [task for task in left if (task.phase, task.wave) == first]
        old = [task for task in group if task.hook_type and _delete_previous_hook(plan, task)]
        if old:
            return SyncProgress(
                "Running", f"waiting for the deletion of hook {old[0].entry}", tuple(held.values()), 1.0
            )
        for one in _run_wave(plan, group):
            held[_result_key(one)] = one
        plan = plan._replace(dry_run_changes={})
        is_last = len(group) == len(left)
        if (
            not is_last
            and not any(one.hook_phase in ("Failed", "Error") for one in held.values())
            and _has_changes(held, group)
        ):
            return SyncProgress(
                "Running", f"the next wave comes after {first[0]} {first[1]}", tuple(held.values()), WAVE_PAUSE_SECONDS
            )


def _result_key(result: ResourceResult) -> tuple[str, str]:
    return result.phase, result.entry.id


def _task_key(task: SyncTask) -> tuple[str, str]:
    return task.phase, task.entry.id


def _has_changes(results: dict[tuple[str, str], ResourceResult], group: Sequence[SyncTask]) -> bool:
    """Whether anything of a wave was another than before."""
    return any(not results[_task_key(task)].is_unchanged for task in group)


def _format_waiting(results: Sequence[ResourceResult]) -> str:
    names = ", ".join(str(one.entry) for one in results[:3])
    what = "completion of hook" if results[0].hook_type else "healthy state of"
    return f"waiting for {what} {names}{f' and {len(results) - 3} more' if len(results) > 3 else ''}"


def _finish_sync(plan: SyncPlan, results: tuple[ResourceResult, ...], failed: Sequence[ResourceResult]) -> SyncProgress:
    """All is done: hooks that go with their success, or failure, go."""
    hooks = {_task_key(task): task for task in plan.tasks if task.hook_type}
    for one in results:
        task = hooks.get(_result_key(one))
        policies = sync_tasks.delete_policies_of(task.value) if task is not None and task.value is not None else ()
        is_good = one.hook_phase == "Succeeded"
        if (is_good and sync_tasks.HOOK_SUCCEEDED in policies) or (not is_good and sync_tasks.HOOK_FAILED in policies):
            delete_object(plan.target.cluster, one.entry)
    if failed:
        words = "; ".join(f"{one.entry}: {one.message}" for one in failed[:3])
        return SyncProgress("Failed", f"one or more synchronization tasks completed unsuccessfully: {words}", results)
    return SyncProgress("Succeeded", "successfully synced (all tasks run)", results)


def _check_result(plan: SyncPlan, result: ResourceResult) -> ResourceResult:
    """What became of something that was applied."""
    live = get_object(plan.target.cluster, result.entry)
    task = next((task for task in plan.tasks if _task_key(task) == _result_key(result)), None)
    if live is None:
        # A Job may take itself away when it is done.
        is_brief = get_field(task.value if task else None, ("spec", "ttlSecondsAfterFinished")) is not None
        if is_brief:
            return result._replace(hook_phase="Succeeded", message="it is done, and gone")
        return result._replace(hook_phase="Failed", message="it was deleted while it was waited for")
    found = resource_health.compute_health(live, plan.tracking.health_scripts)
    if get_field(live, ("metadata", "deletionTimestamp")):
        return result._replace(hook_phase="Failed", message="it is being deleted")
    if found is None or found.status == "Healthy":
        return result._replace(
            hook_phase="Succeeded", message=found.message if found and found.message else result.message
        )
    if found.status == "Degraded":
        return result._replace(hook_phase="Failed", message=found.message or "it is degraded")
    return result


def _run_wave(plan: SyncPlan, group: Sequence[SyncTask]) -> list[ResourceResult]:
    """Does what is of one wave: what goes first, then what comes."""
    going = [task for task in group if task.value is None]
    plain = [task for task in group if task.value is not None and not task.hook_type]
    hooks = [task for task in group if task.hook_type]
    found = _prune_tasks(plan, going) if going else []
    changes = server_side_apply.apply_stages(
        plan.target.cluster,
        sync_tasks.split_stages(plain),
        plan.apply_policy,
        lambda made: plan.record_changes(made, ()),
        plan.dry_run_changes,
    )
    by_id = {entry_of(change.value).id: change for change in changes}
    for task in plain:
        change = by_id.get(task.entry.id)
        if change is None:
            found.append(
                ResourceResult(
                    task.entry, task.phase, "SyncFailed", "Failed", "not applied, for something before it failed"
                )
            )
        elif change.action == "failed" or change.cause is ChangeCause.STAGE_FAILED:
            found.append(ResourceResult(task.entry, task.phase, "SyncFailed", "Failed", change.reason))
        else:
            words = {"create": "created", "configure": "configured"}.get(change.action, "")
            found.append(
                ResourceResult(
                    task.entry, task.phase, "Synced", "Running", words or "unchanged", is_unchanged=not words
                )
            )
    return [*found, *(_start_hook(plan, task) for task in hooks)]


def _prune_tasks(plan: SyncPlan, prune_tasks: Sequence[SyncTask]) -> list[ResourceResult]:
    keep = partial(_find_keep_reason, plan)
    gone = prune.plan_prune(plan.target.cluster, [task.entry for task in prune_tasks], keep)
    if any(one.action == "delete" for one in gone):
        plan.record_changes((), gone)
    taken = prune.prune_objects(plan.target.cluster, gone, keep, plan.options.propagation)
    found = []
    for one in taken:
        if one.action == "failed":
            found.append(ResourceResult(one.entry, "Sync", "SyncFailed", "Failed", one.reason))
        elif one.action == "keep":
            found.append(ResourceResult(one.entry, "Sync", "PruneSkipped", "Succeeded", one.reason))
        else:
            found.append(ResourceResult(one.entry, "Sync", "Pruned", "Succeeded", "pruned"))
    return found


def _find_keep_reason(plan: SyncPlan, live: Object) -> str:
    """Why something that is not wanted any more stays; empty where it goes."""
    if resource_tracking.find_owner(plan.tracking, live) != plan.instance_name:
        return "it is not marked as this Application's"
    held = plan.options.for_object(live).get("Prune")
    if held == "false":
        return "it says that it is not pruned (`Prune=false`)"
    if held == "confirm" and not plan.is_prune_confirmed:
        return "it waits until somebody confirms that it goes (`Prune=confirm`)"
    return ""


def _start_hook(plan: SyncPlan, task: SyncTask) -> ResourceResult:
    """Begins a hook."""
    value = task.value
    assert value is not None
    made = ResourceResult(task.entry, task.phase, "", "Running", "started", task.hook_type)
    try:
        kind = plan.target.cluster.find_kind(value["apiVersion"], value["kind"])
        if kind is None:
            return made._replace(hook_phase="Failed", message=f"the kind {value['kind']} is not there")
        plan.record_changes([ObjectChange(value, "create", f"the hook {task.hook_type}")], ())
        plan.target.cluster.apply(kind, value, FIELD_MANAGER, False)
    except ToolError as error:
        return made._replace(hook_phase="Failed", message=str(error))
    return made


def _delete_previous_hook(plan: SyncPlan, task: SyncTask) -> bool:
    """Whether a hook is still there from before; if it goes before it is made anew, it is told to go."""
    if task.value is None or sync_tasks.BEFORE_HOOK_CREATION not in sync_tasks.delete_policies_of(task.value):
        return False
    delete_object(plan.target.cluster, task.entry)
    return get_object(plan.target.cluster, task.entry) is not None


def delete_object(cluster: DynamicClient, entry: InventoryEntry) -> None:
    """Takes an object away, if it is there."""
    kind, live = cluster.find_kind(entry.api_version, entry.kind), get_object(cluster, entry)
    if kind is not None and live is not None:
        cluster.delete(kind, entry.namespace, entry.name, live["metadata"]["uid"])


def list_refused(objects: Sequence[ComparedObject], options: SyncOptions) -> list[ResourceResult]:
    """What of the objects the cluster would not take, as it says in a dry run: with one of them nothing is begun."""
    found = []
    for one in objects:
        if one.change is None or one.change.action != "failed":
            continue
        is_let = one.change.cause in MISSING_DEPENDENCY and options.for_object(one.change.value).is_enabled(
            "SkipDryRunOnMissingResource"
        )
        if not is_let:
            found.append(ResourceResult(one.entry, "Sync", "SyncFailed", "Failed", one.change.reason))
    return found
