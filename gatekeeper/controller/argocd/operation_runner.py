"""Syncs of Applications: begun when somebody asks, or by themselves; gone on with; and written down at every step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from gatekeeper.apply import server_side_apply
from gatekeeper.apply.model import Act, Outcome
from gatekeeper.apply.server_side_apply import Change, Manner
from gatekeeper.argocd import application_spec
from gatekeeper.argocd import status as argocd_status
from gatekeeper.argocd.model import Item, Result
from gatekeeper.argocd.sync import operation as sync_operation
from gatekeeper.argocd.sync import sync_engine, sync_windows
from gatekeeper.argocd.sync.operation import State
from gatekeeper.argocd.sync.sync_engine import Plan, Step
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.cluster.reflector import Name
from gatekeeper.controller.argocd import status_writer, sync_plan
from gatekeeper.controller.argocd.context import Case
from gatekeeper.errors import ToolError
from gatekeeper.flux import status as flux_status
from gatekeeper.kube import conditions as kube_conditions
from gatekeeper.kube.conditions import Told
from gatekeeper.model import at

# What is waited for is looked at again, if nothing is heard of it.
LOOK = 5.0
# Healing pauses longer each time something is changed again at once: seconds, times, at most; and is forgotten.
FIRST, TIMES, MOST, QUIET = 2.0, 3, 300.0, 330.0


class After(NamedTuple):
    """What is to be told, and when it goes on.

    Attributes:
        status: of the operation.
        is_done: whether a sync came to its end.
        is_current: whether it was of the commit that is compared now.
    """

    conditions: dict[str, str]
    status: dict[str, Any]
    seconds: float | None = None
    is_done: bool = False
    is_current: bool = True


class Syncs:
    """The syncs of all Applications."""

    def __init__(self) -> None:
        # What a sync that runs is to do, and of what it began: what is new in Git meanwhile is for the next.
        self._plans: dict[Name, tuple[str, Plan, Case]] = {}
        self._heals: dict[Name, tuple[int, float]] = {}

    def forget(self, name: Name) -> None:
        """An Application is gone."""
        self._plans.pop(name, None)
        self._heals.pop(name, None)

    def has_plan(self, name: Name) -> bool:
        """Whether it is known what a sync that runs is to do."""
        return name in self._plans

    def is_running(self, value: Object) -> bool:
        """Whether a sync of an Application is not at its end."""
        return sync_operation.is_running(sync_operation.state_of(value))

    def gone_on(self, case: Case, items: list[Item]) -> tuple[Case, After]:
        """Begins or goes on with a sync, if there is one to do.

        Raises:
            SealError, FieldError: what is asked for is not valid.
            ToolError: the cluster does not do it, or it cannot be noted.
        """
        state = sync_operation.state_of(case.value)
        if sync_operation.is_running(state):
            return self._on(case, items, state)
        wish = case.value.get("operation")
        if wish:
            return self._begun(case, items, wish, True)
        conditions: dict[str, str] = {}
        operation, why = sync_operation.automatic(case.asked, items, state)
        held = sync_plan.held(case, items)
        if why:
            conditions["SyncError"] = why
        if held:
            conditions["PruneHeld"] = held
        if operation is None:
            return case, After(conditions, {})
        shut = sync_windows.closed(case.windows, datetime.now(UTC), False)
        if shut:
            return case, After(conditions, {}, sync_windows.change(case.windows, datetime.now(UTC)))
        if sync_operation.selected(operation):
            pause = self._pause(case.name)
            if pause > 0:
                return case, After(conditions, {}, pause)
            if held and all(one.goes for one in items if one.status == "OutOfSync"):
                return case, After(conditions, {})
        return self._begun(case, items, operation, False)

    def _pause(self, name: Name) -> float:
        """Seconds to wait before something is healed once more."""
        count, last = self._heals.get(name, (0, 0.0))
        quiet = time.monotonic() - last
        if quiet > QUIET:
            count = 0
        pause = min(MOST, FIRST * TIMES ** (count - 1)) - quiet if count else 0.0
        if pause <= 0:
            self._heals[name] = count + 1, time.monotonic()
        return pause

    def _begun(self, case: Case, items: list[Item], operation: State, is_manual: bool) -> tuple[Case, After]:
        now = time.time()
        state = sync_operation.begun(case.asked, operation, now)
        reason = sync_operation.refusal(case.asked, operation) or _shut(case, is_manual) or sync_plan.refusal(case)
        if not reason:
            general = sync_operation.options_for(case.application, operation)
            failed = sync_engine.refused(sync_plan.chosen(items, operation), general)
            shared = sync_plan.shared(case, items) if general.has("FailOnSharedResource") else ""
            if failed:
                state = sync_operation.with_results(state, failed, "")
            reason = shared or "; ".join(f"{one.entry}: {one.message}" for one in failed[:3])
        if reason:
            return self._ended(case, items, state, Step("Failed", reason, tuple(argocd_status.results(state))))
        if at(operation, ("sync", "dryRun")):
            return self._ended(case, items, state, Step("Succeeded", "successfully synced (dry run)", ()))
        self._tell_event(case, "Normal", "OperationStarted", _begins(case, operation))
        # What is begun stands in the cluster before anything is done.
        case = case._replace(value=status_writer.write(case.place.cluster, case.value, {"operationState": state}, now))
        return self._on(case, items, sync_operation.state_of(case.value))

    def _on(self, case: Case, items: list[Item], state: State) -> tuple[Case, After]:
        operation, name = state.get("operation") or {}, case.name
        retry = sync_operation.retry_for(case.application, operation)
        if state.get("phase") == "Terminating":
            return self._terminated(case, items, state)
        left = sync_operation.wait(state, retry, time.time())
        if left > 0:
            return case, After({}, {}, left)
        if state.get("finishedAt"):
            self._plans.pop(name, None)
            state = sync_operation.again(state)
        mark = f"{state['startedAt']} {state.get('retryCount')}"
        if name not in self._plans or self._plans[name][0] != mark:
            # Whoever goes on with it may know another commit, or another verdict, than who began it.
            reason = sync_operation.superseded(case.asked, state) or sync_plan.refusal(case)
            if reason:
                failed = Step("Failed", reason, tuple(argocd_status.results(state)))
                return self._ended(case, items, state, failed, False)
            self._plans[name] = mark, sync_plan.plan(case, items, operation, state), case
            _make_space(case)
        _, plan, begun = self._plans[name]
        self._plans[name] = mark, plan._replace(tried={}), begun
        step = sync_engine.step(plan, argocd_status.results(state))
        if step.running != "Running":
            is_current = not sync_operation.superseded(case.asked, state)
            _, after = self._ended(begun._replace(value=case.value), items, state, step)
            return case, after._replace(is_current=is_current)
        state = sync_operation.with_results(state, step.results, step.message)
        return case, After({}, {"operationState": state}, step.after if step.after is not None else LOOK)

    def _terminated(self, case: Case, items: list[Item], state: State) -> tuple[Case, After]:
        results = [_stopped(case, one) for one in argocd_status.results(state)]
        state = {key: held for key, held in state.items() if key != "finishedAt"}
        return self._ended(case, items, state, Step("Failed", "Operation terminated", tuple(results)), False)

    def _ended(
        self, case: Case, items: list[Item], state: State, step: Step, is_retried: bool = True
    ) -> tuple[Case, After]:
        self._plans.pop(case.name, None)
        now, operation = time.time(), state.get("operation") or {}
        retry = sync_operation.retry_for(case.application, operation) if is_retried else application_spec.Retry()
        state = sync_operation.ended(
            sync_operation.with_results(state, step.results, step.message), step.running, step.message, now, retry
        )
        status: dict[str, Any] = {"operationState": state}
        is_whole = step.running == "Succeeded" and not sync_operation.selected(operation)
        if is_whole and not at(operation, ("sync", "dryRun")):
            status["history"] = argocd_status.history(case.value, case.asked, state, case.application)
        is_good = step.running == "Succeeded"
        reason = "OperationCompleted" if is_good else "Refused" if sync_plan.refusal(case) else "OperationFailed"
        outcome = Outcome(is_good, reason, step.message)
        changed = _changes(items, step.results)
        case.place.note(
            Act(
                "done",
                sync_plan.done(case, outcome, changed, ()),
                sync_plan.revision(case),
                case.verdict,
                sync_plan.approved(case),
            )
        )
        if sync_operation.selected(operation) and is_good:
            _drift(case, self, changed)
        self._tell_event(case, "Normal" if is_good else "Warning", reason, step.message)
        conditions = {} if is_good else {"SyncError": step.message}
        held = sync_plan.held(case, items)
        if held:
            conditions["PruneHeld"] = held
        after = sync_operation.wait(state, retry, now) if sync_operation.is_running(state) else None
        return case, After(conditions, status, after, True)

    def _tell_event(self, case: Case, kind: str, reason: str, message: str) -> None:
        events = case.place.cluster.kind("v1", "Event")
        if events is not None:
            told = kube_conditions.event(Told(kind, reason, message), case.value, time.time())
            case.place.cluster.create(events, told)


def _make_space(case: Case) -> None:
    """Makes the namespace of an Application, where it asks for that.

    Raises:
        ToolError: the cluster does not take it.
    """
    wanted = sync_plan.space(case)
    changes = server_side_apply.applied(case.there.cluster, [wanted], lambda value, live: Manner()) if wanted else []
    failed = [one for one in changes if one.action == "failed"]
    if failed:
        raise ToolError(f"{failed[0]}: {failed[0].reason}")


def _drift(case: Case, own: Syncs, changes: Sequence[Change]) -> None:
    """Tells who has changed what, once it is put right."""
    for one in changes:
        case.place.figures.drift.labels(one.value["kind"]).inc()
    lines = flux_status.drift_of(changes)
    if lines:
        own._tell_event(case, "Warning", "DriftCorrected", "; ".join(lines))


def _changes(items: Sequence[Item], results: Sequence[Result]) -> list[Change]:
    done = {one.entry.id for one in results if one.status == "Synced"}
    found = [one.change for one in items if one.change is not None and one.entry.id in done]
    return [one for one in found if one.action in ("create", "configure")]


def _begins(case: Case, operation: State) -> str:
    who = at(operation, ("initiatedBy", "username")) or "somebody"
    by = "by itself" if at(operation, ("initiatedBy", "automated")) else f"asked for by {who}"
    return f"sync to {sync_plan.revision(case)}, {by}"


def _shut(case: Case, is_manual: bool) -> str:
    return sync_windows.closed(case.windows, datetime.now(UTC), is_manual)


def _stopped(case: Case, one: Result) -> Result:
    """A hook that runs is taken away."""
    if not one.hook or one.running != "Running":
        return one
    sync_engine.remove(case.there.cluster, one.entry)
    return one._replace(running="Failed", message="Terminated")
