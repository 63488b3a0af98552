"""Runs the operations of Applications, requested or automated; every step is written to the status."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from gatekeeper.apply import server_side_apply
from gatekeeper.apply.changes import ApplyOptions, ObjectChange
from gatekeeper.apply.model import ReconcileOutcome
from gatekeeper.argocd.application_spec import RetryStrategy
from gatekeeper.argocd.model import ComparedObject, ResourceResult
from gatekeeper.argocd.status import StatusFields
from gatekeeper.argocd.sync import auto_sync, sync_engine, sync_windows
from gatekeeper.argocd.sync import operation as sync_operation
from gatekeeper.argocd.sync.operation import Attempt, OperationState, SyncRequest
from gatekeeper.argocd.sync.sync_engine import SyncPlan, SyncProgress
from gatekeeper.controller.argocd import status_writer, sync_plan
from gatekeeper.controller.argocd.application_events import emit_event, record_outcome, report_drift
from gatekeeper.controller.argocd.context import ApplicationContext
from gatekeeper.controller.argocd.self_heal import SelfHealBackoff
from gatekeeper.errors import ToolError
from gatekeeper.kube.events import Event
from gatekeeper.model import NamespacedName, Object, get_field, name_of
from gatekeeper.named_tuple import NamedTuple

# How often a running sync is checked if no watched object changes.
POLL_SECONDS = 5.0


class OperationProgress(NamedTuple):
    """The result of one step of an operation.

    Attributes:
        context: with the Application as it is in the cluster after the step.
        conditions: messages by condition type.
        state: the state to write; None if it has not changed.
        history: `status.history` to write; None if it has not changed.
        requeue_seconds: seconds until the next step; None to wait for a change.
        is_done: whether an attempt has ended.
        is_current: whether it was of the revisions that are compared now.
    """

    context: ApplicationContext
    conditions: dict[str, str]
    state: OperationState | None = None
    history: list[StatusFields] | None = None
    requeue_seconds: float | None = None
    is_done: bool = False
    is_current: bool = True


class RunningSync(NamedTuple):
    """The plan of a running attempt.

    Attributes:
        context: as it was when the attempt began; later revisions are for the next sync.
    """

    attempt: Attempt
    plan: SyncPlan
    context: ApplicationContext


class OperationRunner:
    """The operations of all Applications."""

    def __init__(self) -> None:
        self._running: dict[NamespacedName, RunningSync] = {}
        self._self_heal = SelfHealBackoff()

    def forget(self, name: NamespacedName) -> None:
        """Drop what is known of a deleted Application."""
        self._running.pop(name, None)
        self._self_heal.forget(name)

    def needs_comparison(self, value: Object) -> bool:
        """Whether the next step of an Application's operation needs a new comparison of all objects."""
        state = sync_operation.parse_operation_state(value)
        if state is not None and state.is_running:
            return name_of(value) not in self._running
        return bool(value.get("operation"))

    def continue_operation(self, context: ApplicationContext, objects: Sequence[ComparedObject]) -> OperationProgress:
        """Continue the running operation, or begin the one that is requested or automated.

        Raises:
            SpecError, FieldError: the operation is invalid.
            ToolError: the cluster does not answer, or a change cannot be recorded.
        """
        state = sync_operation.parse_operation_state(context.manifest)
        if state is not None and state.is_running:
            return self._advance(context, objects, state)
        requested = context.manifest.get("operation")
        if requested:
            return self._begin(context, objects, sync_operation.parse_request(requested), is_manual=True)
        return self._continue_auto_sync(context, objects, state)

    def _continue_auto_sync(
        self, context: ApplicationContext, objects: Sequence[ComparedObject], state: OperationState | None
    ) -> OperationProgress:
        request, blocked_reason = auto_sync.decide_auto_sync(context.build, objects, state)
        held_reason = sync_plan.find_held_prune(context, objects)
        conditions = _build_conditions(blocked_reason, held_reason)
        if request is None:
            return OperationProgress(context, conditions)
        now = datetime.now(UTC)
        if sync_windows.find_blocking_window(context.sync_windows, now, is_manual=False):
            seconds = sync_windows.seconds_until_change(context.sync_windows, now)
            return OperationProgress(context, conditions, requeue_seconds=seconds)
        if request.selected:
            pause = self._self_heal.begin_heal(context.name)
            if pause > 0:
                return OperationProgress(context, conditions, requeue_seconds=pause)
            if held_reason and all(compared.should_prune for compared in objects if compared.status == "OutOfSync"):
                return OperationProgress(context, conditions)
        return self._begin(context, objects, request, is_manual=False)

    def _begin(
        self, context: ApplicationContext, objects: Sequence[ComparedObject], request: SyncRequest, is_manual: bool
    ) -> OperationProgress:
        now = time.time()
        state = sync_operation.start_operation(request, context.build, now)
        refusal = _find_start_refusal(context, objects, request, is_manual)
        if refusal is not None:
            return self._finish(context, objects, state, refusal)
        if request.is_dry_run:
            progress = SyncProgress("Succeeded", "successfully synced (dry run)", ())
            return self._finish(context, objects, state, progress)
        emit_event(context, Event("Normal", "OperationStarted", _describe_start(context, request)))
        # The state must be in the cluster before anything is applied.
        manifest = status_writer.write_status(
            context.environment.cluster, context.manifest, {"operationState": state.to_status()}, now
        )
        return self._advance(
            context._replace(manifest=manifest), objects, sync_operation.parse_operation_state(manifest) or state
        )

    def _advance(
        self, context: ApplicationContext, objects: Sequence[ComparedObject], state: OperationState
    ) -> OperationProgress:
        if state.phase == "Terminating":
            return self._terminate(context, objects, state)
        retry = sync_operation.resolve_retry(state.request, context.application)
        pause = state.seconds_until_retry(retry, time.time())
        if pause > 0:
            return OperationProgress(context, {}, requeue_seconds=pause)
        if state.finished_at:
            self._running.pop(context.name, None)
            state = state.begin_retry()
        running = self._running.get(context.name)
        if running is None or running.attempt != state.attempt:
            # This replica may know another revision or verdict than the one that began the attempt.
            reason = auto_sync.find_superseding_revision(context.build, state) or sync_plan.find_gate_refusal(context)
            if reason:
                return self._finish(context, objects, state, SyncProgress("Failed", reason, state.results), False)
            running = RunningSync(state.attempt, sync_plan.build_plan(context, objects, state), context)
            _create_namespaces(context)
        # The dry run is only fresh enough for the first step.
        plan = running.plan._replace(dry_run_changes={})
        self._running[context.name] = running._replace(plan=plan)
        progress = sync_engine.advance_sync(running.plan, state.results)
        if progress.phase != "Running":
            is_current = not auto_sync.find_superseding_revision(context.build, state)
            begun = running.context._replace(manifest=context.manifest)
            finished = self._finish(begun, objects, state, progress)
            return finished._replace(context=context, is_current=is_current)
        pause = progress.resume_after if progress.resume_after is not None else POLL_SECONDS
        state = state.with_results(progress.results, progress.message)
        return OperationProgress(context, {}, state, requeue_seconds=pause)

    def _terminate(
        self, context: ApplicationContext, objects: Sequence[ComparedObject], state: OperationState
    ) -> OperationProgress:
        results = tuple(_stop_hook(context, result) for result in state.results)
        progress = SyncProgress("Failed", "Operation terminated", results)
        return self._finish(context, objects, state, progress, can_retry=False)

    def _finish(
        self,
        context: ApplicationContext,
        objects: Sequence[ComparedObject],
        state: OperationState,
        progress: SyncProgress,
        can_retry: bool = True,
    ) -> OperationProgress:
        """End an attempt: compute its state and history, and report the outcome."""
        self._running.pop(context.name, None)
        now, request, is_success = time.time(), state.request, progress.phase == "Succeeded"
        retry = sync_operation.resolve_retry(request, context.application) if can_retry else RetryStrategy()
        state = state.with_results(progress.results, progress.message)
        state = state.finish(progress.phase, progress.message, now, retry)
        history = None
        if is_success and request.is_complete:
            previous = get_field(context.manifest, ("status", "history"))
            history = sync_operation.build_history(context.build, state, previous if isinstance(previous, list) else [])
        reason = _decide_event_reason(context, is_success)
        changes = _list_applied_changes(objects, progress.results)
        record_outcome(context, ReconcileOutcome(is_success, reason, progress.message), changes)
        if request.selected and is_success:
            report_drift(context, changes)
        emit_event(context, Event("Normal" if is_success else "Warning", reason, progress.message))
        return OperationProgress(
            context,
            _build_conditions("" if is_success else progress.message, sync_plan.find_held_prune(context, objects)),
            state,
            history,
            requeue_seconds=state.seconds_until_retry(retry, now) if state.is_running else None,
            is_done=True,
        )


def _build_conditions(sync_error: str, held_reason: str) -> dict[str, str]:
    messages = {"SyncError": sync_error, "PruneHeld": held_reason}
    return {condition_type: message for condition_type, message in messages.items() if message}


def _find_start_refusal(
    context: ApplicationContext, objects: Sequence[ComparedObject], request: SyncRequest, is_manual: bool
) -> SyncProgress | None:
    """Return the failure of an operation that cannot start; None if it can."""
    reason = (
        sync_operation.find_refusal(request, context.build)
        or sync_windows.find_blocking_window(context.sync_windows, datetime.now(UTC), is_manual)
        or sync_plan.find_gate_refusal(context)
    )
    if reason:
        return SyncProgress("Failed", reason, ())
    options = sync_operation.resolve_sync_options(request, context.application)
    refused = sync_engine.list_refused(sync_plan.select_objects(objects, request), options)
    shared = sync_plan.find_shared_resource(context, objects) if options.is_enabled("FailOnSharedResource") else ""
    reason = shared or sync_engine.format_failures(refused)
    return SyncProgress("Failed", reason, tuple(refused)) if reason else None


def _describe_start(context: ApplicationContext, request: SyncRequest) -> str:
    cause = "automated" if request.is_automated else f"requested by {request.username or 'an unknown user'}"
    return f"sync to {context.revision}, {cause}"


def _decide_event_reason(context: ApplicationContext, is_success: bool) -> str:
    if is_success:
        return "OperationCompleted"
    return "Refused" if sync_plan.find_gate_refusal(context) else "OperationFailed"


def _create_namespaces(context: ApplicationContext) -> None:
    """Create the destination's Namespace, if a sync option requests it.

    Raises:
        ToolError: the cluster does not answer, or refuses it.
    """
    namespaces = sync_plan.build_namespaces(context)
    if not namespaces:
        return
    changes = server_side_apply.apply_stages(
        context.destination_client, [namespaces], lambda value, live: ApplyOptions()
    )
    for change in changes:
        if change.action == "failed":
            raise ToolError(f"{change}: {change.reason}")


def _list_applied_changes(objects: Sequence[ComparedObject], results: Sequence[ResourceResult]) -> list[ObjectChange]:
    synced = {result.entry.id for result in results if result.status == "Synced"}
    changes = [compared.change for compared in objects if compared.change is not None and compared.entry.id in synced]
    return [change for change in changes if change.is_write]


def _stop_hook(context: ApplicationContext, result: ResourceResult) -> ResourceResult:
    """Delete a running hook; return its result."""
    if not result.hook_type or result.hook_phase != "Running":
        return result
    sync_engine.delete_object(context.destination_client, result.entry)
    return result._replace(hook_phase="Failed", message="Terminated")
