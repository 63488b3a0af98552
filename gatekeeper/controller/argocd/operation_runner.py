"""Syncs of Applications: begun when somebody asks, or by themselves; gone on with; and written down at every step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from gatekeeper.apply import server_side_apply
from gatekeeper.apply.changes import ApplyOptions, ObjectChange
from gatekeeper.apply.model import AuditEvent, ReconcileOutcome
from gatekeeper.argocd import application_spec
from gatekeeper.argocd import status as argocd_status
from gatekeeper.argocd.model import ComparedObject, ResourceResult
from gatekeeper.argocd.sync import operation as sync_operation
from gatekeeper.argocd.sync import sync_engine, sync_windows
from gatekeeper.argocd.sync.operation import OperationState
from gatekeeper.argocd.sync.sync_engine import SyncPlan, SyncProgress
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.controller.argocd import status_writer, sync_plan
from gatekeeper.controller.argocd.context import ApplicationContext
from gatekeeper.errors import ToolError
from gatekeeper.flux import status as flux_status
from gatekeeper.kube import events as kube_events
from gatekeeper.kube.events import Event
from gatekeeper.kube.objects import NamespacedName
from gatekeeper.model import get_field

# What is waited for is looked at again, if nothing is heard of it.
POLL_SECONDS = 5.0
# Healing pauses longer each time something is changed again at once: seconds, times, at most; and is forgotten.
SELF_HEAL_FIRST_SECONDS, SELF_HEAL_FACTOR, SELF_HEAL_MAX_SECONDS, SELF_HEAL_RESET_SECONDS = 2.0, 3, 300.0, 330.0


class OperationProgress(NamedTuple):
    """What is to be told, and when it goes on.

    Attributes:
        status: of the operation.
        is_done: whether a sync came to its end.
        is_current: whether it was of the commit that is compared now.
    """

    conditions: dict[str, str]
    status: dict[str, Any]
    requeue_seconds: float | None = None
    is_done: bool = False
    is_current: bool = True


class OperationRunner:
    """The syncs of all Applications."""

    def __init__(self) -> None:
        # What a sync that runs is to do, and of what it began: what is new in Git meanwhile is for the next.
        self._plans: dict[NamespacedName, tuple[str, SyncPlan, ApplicationContext]] = {}
        self._self_heals: dict[NamespacedName, tuple[int, float]] = {}

    def forget(self, name: NamespacedName) -> None:
        """An Application is gone."""
        self._plans.pop(name, None)
        self._self_heals.pop(name, None)

    def has_plan(self, name: NamespacedName) -> bool:
        """Whether it is known what a sync that runs is to do."""
        return name in self._plans

    def is_running(self, value: Object) -> bool:
        """Whether a sync of an Application is not at its end."""
        return sync_operation.is_running(sync_operation.read_operation_state(value))

    def continue_operation(
        self, context: ApplicationContext, items: list[ComparedObject]
    ) -> tuple[ApplicationContext, OperationProgress]:
        """Begins or goes on with a sync, if there is one to do.

        Raises:
            SpecError, FieldError: what is asked for is not valid.
            ToolError: the cluster does not do it, or it cannot be noted.
        """
        state = sync_operation.read_operation_state(context.manifest)
        if sync_operation.is_running(state):
            return self._advance(context, items, state)
        wish = context.manifest.get("operation")
        if wish:
            return self._begin(context, items, wish, True)
        conditions: dict[str, str] = {}
        operation, why = sync_operation.plan_auto_sync(context.build, items, state)
        held = sync_plan.find_held_prune(context, items)
        if why:
            conditions["SyncError"] = why
        if held:
            conditions["PruneHeld"] = held
        if operation is None:
            return context, OperationProgress(conditions, {})
        shut = sync_windows.find_blocking_window(context.windows, datetime.now(UTC), False)
        if shut:
            return context, OperationProgress(
                conditions, {}, sync_windows.seconds_until_change(context.windows, datetime.now(UTC))
            )
        if sync_operation.list_selected_resources(operation):
            pause = self._compute_self_heal_delay(context.name)
            if pause > 0:
                return context, OperationProgress(conditions, {}, pause)
            if held and all(one.should_prune for one in items if one.status == "OutOfSync"):
                return context, OperationProgress(conditions, {})
        return self._begin(context, items, operation, False)

    def _compute_self_heal_delay(self, name: NamespacedName) -> float:
        """Seconds to wait before something is healed once more."""
        count, last = self._self_heals.get(name, (0, 0.0))
        quiet = time.monotonic() - last
        if quiet > SELF_HEAL_RESET_SECONDS:
            count = 0
        pause = (
            min(SELF_HEAL_MAX_SECONDS, SELF_HEAL_FIRST_SECONDS * SELF_HEAL_FACTOR ** (count - 1)) - quiet
            if count
            else 0.0
        )
        if pause <= 0:
            self._self_heals[name] = count + 1, time.monotonic()
        return pause

    def _begin(
        self, context: ApplicationContext, items: list[ComparedObject], operation: OperationState, is_manual: bool
    ) -> tuple[ApplicationContext, OperationProgress]:
        now = time.time()
        state = sync_operation.start_operation(context.build, operation, now)
        reason = (
            sync_operation.find_refusal(context.build, operation)
            or _find_closed_window(context, is_manual)
            or sync_plan.find_gate_refusal(context)
        )
        if not reason:
            general = sync_operation.resolve_sync_options(context.application, operation)
            failed = sync_engine.list_refused(sync_plan.select_items(items, operation), general)
            shared = (
                sync_plan.find_shared_resource(context, items) if general.is_enabled("FailOnSharedResource") else ""
            )
            if failed:
                state = sync_operation.set_results(state, failed, "")
            reason = shared or "; ".join(f"{one.entry}: {one.message}" for one in failed[:3])
        if reason:
            return self._finish(
                context, items, state, SyncProgress("Failed", reason, tuple(argocd_status.parse_results(state)))
            )
        if get_field(operation, ("sync", "dryRun")):
            return self._finish(context, items, state, SyncProgress("Succeeded", "successfully synced (dry run)", ()))
        self._emit_event(context, "Normal", "OperationStarted", _describe_start(context, operation))
        # What is begun stands in the cluster before anything is done.
        context = context._replace(
            manifest=status_writer.write_status(
                context.environment.cluster, context.manifest, {"operationState": state}, now
            )
        )
        return self._advance(context, items, sync_operation.read_operation_state(context.manifest))

    def _advance(
        self, context: ApplicationContext, items: list[ComparedObject], state: OperationState
    ) -> tuple[ApplicationContext, OperationProgress]:
        operation, name = state.get("operation") or {}, context.name
        retry = sync_operation.resolve_retry(context.application, operation)
        if state.get("phase") == "Terminating":
            return self._terminate(context, items, state)
        left = sync_operation.seconds_until_retry(state, retry, time.time())
        if left > 0:
            return context, OperationProgress({}, {}, left)
        if state.get("finishedAt"):
            self._plans.pop(name, None)
            state = sync_operation.restart_operation(state)
        mark = f"{state['startedAt']} {state.get('retryCount')}"
        if name not in self._plans or self._plans[name][0] != mark:
            # Whoever goes on with it may know another commit, or another verdict, than who began it.
            reason = sync_operation.find_superseding_revision(context.build, state) or sync_plan.find_gate_refusal(
                context
            )
            if reason:
                failed = SyncProgress("Failed", reason, tuple(argocd_status.parse_results(state)))
                return self._finish(context, items, state, failed, False)
            self._plans[name] = mark, sync_plan.build_plan(context, items, operation, state), context
            _create_namespace(context)
        _, plan, begun = self._plans[name]
        self._plans[name] = mark, plan._replace(dry_run_changes={}), begun
        step = sync_engine.advance_sync(plan, argocd_status.parse_results(state))
        if step.phase != "Running":
            is_current = not sync_operation.find_superseding_revision(context.build, state)
            _, after = self._finish(begun._replace(manifest=context.manifest), items, state, step)
            return context, after._replace(is_current=is_current)
        state = sync_operation.set_results(state, step.results, step.message)
        return context, OperationProgress(
            {}, {"operationState": state}, step.resume_after if step.resume_after is not None else POLL_SECONDS
        )

    def _terminate(
        self, context: ApplicationContext, items: list[ComparedObject], state: OperationState
    ) -> tuple[ApplicationContext, OperationProgress]:
        results = [_stop_hook(context, one) for one in argocd_status.parse_results(state)]
        state = {key: held for key, held in state.items() if key != "finishedAt"}
        return self._finish(
            context, items, state, SyncProgress("Failed", "Operation terminated", tuple(results)), False
        )

    def _finish(
        self,
        context: ApplicationContext,
        items: list[ComparedObject],
        state: OperationState,
        step: SyncProgress,
        can_retry: bool = True,
    ) -> tuple[ApplicationContext, OperationProgress]:
        self._plans.pop(context.name, None)
        now, operation = time.time(), state.get("operation") or {}
        retry = (
            sync_operation.resolve_retry(context.application, operation)
            if can_retry
            else application_spec.RetryStrategy()
        )
        state = sync_operation.finish_operation(
            sync_operation.set_results(state, step.results, step.message), step.phase, step.message, now, retry
        )
        status: dict[str, Any] = {"operationState": state}
        is_whole = step.phase == "Succeeded" and not sync_operation.list_selected_resources(operation)
        if is_whole and not get_field(operation, ("sync", "dryRun")):
            status["history"] = argocd_status.build_history(context.manifest, context.build, state, context.application)
        is_good = step.phase == "Succeeded"
        reason = (
            "OperationCompleted"
            if is_good
            else "Refused"
            if sync_plan.find_gate_refusal(context)
            else "OperationFailed"
        )
        outcome = ReconcileOutcome(is_good, reason, step.message)
        changed = _list_applied_changes(items, step.results)
        context.environment.record(
            AuditEvent(
                "done",
                sync_plan.build_result(context, outcome, changed, ()),
                sync_plan.format_revision(context),
                context.verdict,
                sync_plan.read_approved_revision(context),
            )
        )
        if sync_operation.list_selected_resources(operation) and is_good:
            _report_drift(context, self, changed)
        self._emit_event(context, "Normal" if is_good else "Warning", reason, step.message)
        conditions = {} if is_good else {"SyncError": step.message}
        held = sync_plan.find_held_prune(context, items)
        if held:
            conditions["PruneHeld"] = held
        after = sync_operation.seconds_until_retry(state, retry, now) if sync_operation.is_running(state) else None
        return context, OperationProgress(conditions, status, after, True)

    def _emit_event(self, context: ApplicationContext, event_type: str, reason: str, message: str) -> None:
        events = context.environment.cluster.find_kind("v1", "Event")
        if events is not None:
            told = kube_events.build_event(Event(event_type, reason, message), context.manifest, time.time())
            context.environment.cluster.create(events, told)


def _create_namespace(context: ApplicationContext) -> None:
    """Makes the namespace of an Application, where it asks for that.

    Raises:
        ToolError: the cluster does not take it.
    """
    wanted = sync_plan.build_namespace(context)
    changes = (
        server_side_apply.apply_stages(context.target.cluster, [wanted], lambda value, live: ApplyOptions())
        if wanted
        else []
    )
    failed = [one for one in changes if one.action == "failed"]
    if failed:
        raise ToolError(f"{failed[0]}: {failed[0].reason}")


def _report_drift(context: ApplicationContext, runner: OperationRunner, changes: Sequence[ObjectChange]) -> None:
    """Tells who has changed what, once it is put right."""
    for one in changes:
        context.environment.metrics.corrected_drift.labels(one.value["kind"]).inc()
    lines = flux_status.describe_drift(changes)
    if lines:
        runner._emit_event(context, "Warning", "DriftCorrected", "; ".join(lines))


def _list_applied_changes(items: Sequence[ComparedObject], results: Sequence[ResourceResult]) -> list[ObjectChange]:
    done = {one.entry.id for one in results if one.status == "Synced"}
    found = [one.change for one in items if one.change is not None and one.entry.id in done]
    return [one for one in found if one.action in ("create", "configure")]


def _describe_start(context: ApplicationContext, operation: OperationState) -> str:
    who = get_field(operation, ("initiatedBy", "username")) or "somebody"
    by = "by itself" if get_field(operation, ("initiatedBy", "automated")) else f"asked for by {who}"
    return f"sync to {sync_plan.format_revision(context)}, {by}"


def _find_closed_window(context: ApplicationContext, is_manual: bool) -> str:
    return sync_windows.find_blocking_window(context.windows, datetime.now(UTC), is_manual)


def _stop_hook(context: ApplicationContext, result: ResourceResult) -> ResourceResult:
    """A hook that runs is taken away."""
    if not result.hook_type or result.hook_phase != "Running":
        return result
    sync_engine.delete_object(context.target.cluster, result.entry)
    return result._replace(hook_phase="Failed", message="Terminated")
