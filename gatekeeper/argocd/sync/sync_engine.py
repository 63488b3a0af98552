"""Runs a sync step by step; each step continues from the results in the Application's status.

A controller that is stopped, or replaced by another replica, repeats nothing that is done already.
Source: argo-cd `docs/user-guide/{sync-waves,resource_hooks}.md`, `gitops-engine/pkg/sync/sync_context.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from gatekeeper.apply import prune, server_side_apply
from gatekeeper.apply.changes import FIELD_MANAGER, MISSING_DEPENDENCY, ApplyPolicy, ChangeCause, ObjectChange
from gatekeeper.apply.inventory import InventoryEntry, entry_of
from gatekeeper.apply.prune import PruneResult
from gatekeeper.argocd import resource_tracking
from gatekeeper.argocd.health import resource_health
from gatekeeper.argocd.model import ComparedObject, OperationPhase, ResourceResult
from gatekeeper.argocd.resource_tracking import ComparisonTarget
from gatekeeper.argocd.sync import sync_tasks
from gatekeeper.argocd.sync.comparison import get_object
from gatekeeper.argocd.sync.sync_options import SyncOptions
from gatekeeper.argocd.sync.sync_tasks import SyncTask
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import ToolError
from gatekeeper.model import Object, get_field
from gatekeeper.named_tuple import NamedTuple

# Between two waves, so that other controllers can react to the first.
WAVE_PAUSE_SECONDS = 2.0
HOOK_DELETION_RECHECK_SECONDS = 1.0
# How many objects a message names.
MAX_NAMED_OBJECTS = 3
FAILED_PHASES = ("Failed", "Error")
ResultKey = tuple[str, str]


class SyncPlan(NamedTuple):
    """What a sync does.

    Attributes:
        tasks: in the order of their execution.
        apply_policy: how each object is applied.
        options: those of the Application and the operation.
        is_prune_confirmed: whether a user has confirmed deletions.
        record_changes: records what will be done before it is done; what cannot be recorded is not done.
        dry_run_changes: changes of a dry run just before, by entry id; the first step uses them.
    """

    target: ComparisonTarget
    tasks: Sequence[SyncTask]
    apply_policy: ApplyPolicy
    options: SyncOptions
    is_prune_confirmed: bool
    record_changes: Callable[[Sequence[ObjectChange], Sequence[PruneResult]], None]
    dry_run_changes: Mapping[str, ObjectChange] = MappingProxyType({})

    @property
    def cluster(self) -> DynamicClient:
        """The destination cluster."""
        return self.target.cluster.cluster

    @property
    def has_multiple_waves(self) -> bool:
        """Whether some tasks wait until the objects of earlier ones are healthy."""
        return len({(task.phase, task.wave) for task in self.tasks if task.phase != "SyncFail"}) > 1


class SyncProgress(NamedTuple):
    """The state of a sync after a step.

    Attributes:
        resume_after: seconds until the next step if nothing changes before; None to wait for a change.
    """

    phase: OperationPhase
    message: str
    results: tuple[ResourceResult, ...]
    resume_after: float | None = None


def advance_sync(plan: SyncPlan, results: Sequence[ResourceResult]) -> SyncProgress:
    """Run a sync until it has to wait or ends.

    Args:
        results: those of the tasks that have run.

    Raises:
        ToolError: the cluster does not answer, or a change cannot be recorded.
    """
    done = {_result_key(result): result for result in results}
    while True:
        for key, result in done.items():
            if result.hook_phase == "Running":
                done[key] = _check_result(plan, result)
        waiting = _list_waiting(plan, done.values())
        failed = [result for result in done.values() if result.hook_phase in FAILED_PHASES]
        if waiting and not (failed and all(result.phase != "SyncFail" for result in waiting)):
            return SyncProgress("Running", _format_waiting(waiting), tuple(done.values()))
        remaining = [
            task for task in plan.tasks if _task_key(task) not in done and (task.phase == "SyncFail") == bool(failed)
        ]
        if not remaining:
            return _finish_sync(plan, tuple(done.values()), failed)
        phase, wave = remaining[0].phase, remaining[0].wave
        group = [task for task in remaining if (task.phase, task.wave) == (phase, wave)]
        leftover = _delete_previous_hooks(plan, group)
        if leftover is not None:
            message = f"waiting for the deletion of hook {leftover}"
            return SyncProgress("Running", message, tuple(done.values()), HOOK_DELETION_RECHECK_SECONDS)
        group_results = _run_wave(plan, group)
        done |= {_result_key(result): result for result in group_results}
        plan = plan._replace(dry_run_changes={})
        has_failed = any(result.hook_phase in FAILED_PHASES for result in done.values())
        is_last_wave = len(group) == len(remaining)
        if not is_last_wave and not has_failed and any(not result.is_unchanged for result in group_results):
            message = f"pausing after wave {wave} of phase {phase}"
            return SyncProgress("Running", message, tuple(done.values()), WAVE_PAUSE_SECONDS)


def _result_key(result: ResourceResult) -> ResultKey:
    return result.phase, result.entry.id


def _task_key(task: SyncTask) -> ResultKey:
    return task.phase, task.entry.id


def _list_waiting(plan: SyncPlan, results: Iterable[ResourceResult]) -> list[ResourceResult]:
    """List the results that must complete before the next wave."""
    return [
        result for result in results if result.hook_phase == "Running" and (result.hook_type or plan.has_multiple_waves)
    ]


def _format_waiting(results: Sequence[ResourceResult]) -> str:
    names = ", ".join(str(result.entry) for result in results[:MAX_NAMED_OBJECTS])
    others = len(results) - MAX_NAMED_OBJECTS
    event = "completion of hook" if results[0].hook_type else "healthy state of"
    return f"waiting for {event} {names}{f' and {others} more' if others > 0 else ''}"


def format_failures(results: Sequence[ResourceResult]) -> str:
    """Format the first failed results for a message."""
    return "; ".join(f"{result.entry}: {result.message}" for result in results[:MAX_NAMED_OBJECTS])


def _finish_sync(plan: SyncPlan, results: tuple[ResourceResult, ...], failed: Sequence[ResourceResult]) -> SyncProgress:
    """Delete the hooks whose delete policy matches the outcome, and return the outcome."""
    hooks = {_task_key(task): task.value for task in plan.tasks if task.hook_type}
    for result in results:
        hook = hooks.get(_result_key(result))
        if hook is not None:
            is_success = result.hook_phase == "Succeeded"
            policy = sync_tasks.HOOK_SUCCEEDED if is_success else sync_tasks.HOOK_FAILED
            if policy in sync_tasks.delete_policies_of(hook):
                delete_object(plan.cluster, result.entry)
    if failed:
        message = f"one or more synchronization tasks completed unsuccessfully: {format_failures(failed)}"
        return SyncProgress("Failed", message, results)
    return SyncProgress("Succeeded", "successfully synced (all tasks run)", results)


def _check_result(plan: SyncPlan, result: ResourceResult) -> ResourceResult:
    """Update the result of an applied object by its health."""
    live = get_object(plan.cluster, result.entry)
    if live is None:
        task = next((task for task in plan.tasks if _task_key(task) == _result_key(result)), None)
        # Kubernetes deletes a finished Job with a TTL.
        has_ttl = get_field(task.value if task else None, ("spec", "ttlSecondsAfterFinished")) is not None
        if has_ttl:
            return result._replace(hook_phase="Succeeded", message="completed and deleted by its TTL")
        return result._replace(hook_phase="Failed", message="deleted while the sync was waiting for it")
    if get_field(live, ("metadata", "deletionTimestamp")):
        return result._replace(hook_phase="Failed", message="the object is being deleted")
    health = resource_health.compute_health(live, plan.target.tracking.health_scripts)
    if health is None or health.status == "Healthy":
        message = health.message if health and health.message else result.message
        return result._replace(hook_phase="Succeeded", message=message)
    if health.status == "Degraded":
        return result._replace(hook_phase="Failed", message=health.message or "the object is degraded")
    return result


def _run_wave(plan: SyncPlan, group: Sequence[SyncTask]) -> list[ResourceResult]:
    """Run the tasks of one wave: prune, apply, then start hooks."""
    prune_tasks = [task for task in group if task.value is None]
    apply_tasks = [task for task in group if task.value is not None and not task.hook_type]
    hook_tasks = [task for task in group if task.hook_type]
    results = _prune_tasks(plan, prune_tasks) if prune_tasks else []
    changes = server_side_apply.apply_stages(
        plan.cluster,
        sync_tasks.split_stages(apply_tasks),
        plan.apply_policy,
        lambda planned: plan.record_changes(planned, ()),
        plan.dry_run_changes,
    )
    change_by_id = {entry_of(change.value).id: change for change in changes}
    results += [_to_result(task, change_by_id.get(task.entry.id)) for task in apply_tasks]
    return [*results, *(_start_hook(plan, task) for task in hook_tasks)]


def _to_result(task: SyncTask, change: ObjectChange | None) -> ResourceResult:
    if change is None:
        message = "not applied, because an earlier object failed"
        return ResourceResult(task.entry, task.phase, "SyncFailed", "Failed", message)
    if change.action == "failed" or change.cause is ChangeCause.STAGE_FAILED:
        return ResourceResult(task.entry, task.phase, "SyncFailed", "Failed", change.reason)
    message = {"create": "created", "configure": "configured"}.get(change.action, "unchanged")
    return ResourceResult(task.entry, task.phase, "Synced", "Running", message, is_unchanged=not change.is_write)


def _prune_tasks(plan: SyncPlan, tasks: Sequence[SyncTask]) -> list[ResourceResult]:
    find_keep_reason = partial(_find_keep_reason, plan)
    planned = prune.plan_prune(plan.cluster, [task.entry for task in tasks], find_keep_reason)
    if any(result.action == "delete" for result in planned):
        plan.record_changes((), planned)
    results = []
    for pruned in prune.prune_objects(plan.cluster, planned, find_keep_reason, plan.options.propagation):
        if pruned.action == "failed":
            results.append(ResourceResult(pruned.entry, "Sync", "SyncFailed", "Failed", pruned.reason))
        elif pruned.action == "keep":
            results.append(ResourceResult(pruned.entry, "Sync", "PruneSkipped", "Succeeded", pruned.reason))
        else:
            results.append(ResourceResult(pruned.entry, "Sync", "Pruned", "Succeeded", "pruned"))
    return results


def _find_keep_reason(plan: SyncPlan, live: Object) -> str:
    """Return why an object is not pruned; empty if it is."""
    if resource_tracking.find_owner(plan.target.tracking, live) != plan.target.instance_name:
        return "the object is not tracked by this Application"
    option = plan.options.for_object(live).get("Prune")
    if option == "false":
        return "the object has the sync option `Prune=false`"
    if option == "confirm" and not plan.is_prune_confirmed:
        return "pruning needs confirmation (`Prune=confirm`)"
    return ""


def _start_hook(plan: SyncPlan, task: SyncTask) -> ResourceResult:
    hook = task.value
    assert hook is not None
    result = ResourceResult(
        entry=task.entry, phase=task.phase, status="", hook_phase="Running", message="started", hook_type=task.hook_type
    )
    try:
        kind = plan.cluster.find_kind(hook["apiVersion"], hook["kind"])
        if kind is None:
            return result._replace(hook_phase="Failed", message=f"the cluster has no kind {hook['kind']}")
        plan.record_changes([ObjectChange(hook, "create", f"the hook {task.hook_type}")], ())
        plan.cluster.apply(kind, hook, FIELD_MANAGER, False)
    except ToolError as error:
        return result._replace(hook_phase="Failed", message=str(error))
    return result


def _delete_previous_hooks(plan: SyncPlan, group: Sequence[SyncTask]) -> InventoryEntry | None:
    """Delete the hooks of an earlier sync that are created again; return one that is still there, or None."""
    recreated = [
        task.entry
        for task in group
        if task.hook_type
        and task.value is not None
        and sync_tasks.BEFORE_HOOK_CREATION in sync_tasks.delete_policies_of(task.value)
    ]
    for entry in recreated:
        delete_object(plan.cluster, entry)
    return next((entry for entry in recreated if get_object(plan.cluster, entry) is not None), None)


def delete_object(cluster: DynamicClient, entry: InventoryEntry) -> None:
    """Delete an object, if it exists.

    Raises:
        ToolError: the cluster does not answer, or refuses the deletion.
    """
    kind, live = cluster.find_kind(entry.api_version, entry.kind), get_object(cluster, entry)
    if kind is not None and live is not None:
        cluster.delete(kind, entry.namespace, entry.name, live["metadata"]["uid"])


def list_refused(objects: Sequence[ComparedObject], options: SyncOptions) -> list[ResourceResult]:
    """List the objects that the cluster refused in the dry run; with one of them no sync starts.

    Raises:
        SpecError: an object has an unknown sync option.
    """
    results = []
    for compared in objects:
        if compared.change is None or compared.change.action != "failed":
            continue
        is_excused = compared.change.cause in MISSING_DEPENDENCY and options.for_object(
            compared.change.value
        ).is_enabled("SkipDryRunOnMissingResource")
        if not is_excused:
            results.append(ResourceResult(compared.entry, "Sync", "SyncFailed", "Failed", compared.change.reason))
    return results
