"""What a sync of an Application will do, and the reasons for not doing it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from gatekeeper.apply import gate_refusal, prune_budget
from gatekeeper.apply.changes import ChangeCause, ObjectChange
from gatekeeper.argocd import resource_tracking
from gatekeeper.argocd.model import ComparedObject
from gatekeeper.argocd.sync import comparison, namespace_creation, sync_tasks
from gatekeeper.argocd.sync.operation import OperationState, ResourceSelector, SyncRequest, resolve_sync_options
from gatekeeper.argocd.sync.sync_engine import SyncPlan
from gatekeeper.controller.argocd.application_events import record_planned
from gatekeeper.controller.argocd.context import ApplicationContext
from gatekeeper.model import Object, read_labels

# When a user confirmed deletions, as Argo CD writes it.
DELETION_APPROVED = "argocd.argoproj.io/deletion-approved"


def build_plan(context: ApplicationContext, objects: Sequence[ComparedObject], state: OperationState) -> SyncPlan:
    """Plan the current attempt of an operation.

    Raises:
        SpecError: a sync option is unknown.
    """
    request = state.request
    options = resolve_sync_options(request, context.application)
    selected = select_objects(objects, request)
    if options.is_enabled("ApplyOutOfSyncOnly"):
        selected = [compared for compared in selected if compared.status != "Synced"]
    should_prune = request.should_prune and not find_held_prune(context, objects)
    tasks = sync_tasks.build_object_tasks(selected, options, should_prune)
    if request.should_run_hooks and not request.selected:
        revision = context.build.revisions[0] if context.build.revisions else ""
        tasks += sync_tasks.build_hook_tasks(context.hooks, revision, state.start_timestamp)
    return SyncPlan(
        target=context.target,
        tasks=sync_tasks.sort_tasks(tasks),
        apply_policy=comparison.build_apply_policy(context.build, options, request.is_forced),
        options=options,
        is_prune_confirmed=is_deletion_confirmed(context.manifest, state.start_timestamp),
        record_changes=partial(record_planned, context),
        dry_run_changes={
            compared.entry.id: compared.change
            for compared in selected
            if compared.change is not None and _is_dry_run_usable(compared.change)
        },
    )


def _is_dry_run_usable(change: ObjectChange) -> bool:
    return change.action != "failed" and change.cause is not ChangeCause.DEPENDENCY_IN_SAME_RUN


def build_namespaces(context: ApplicationContext) -> list[Object]:
    """Build the Namespace that the Application's sync option creates, if any."""
    return namespace_creation.build_namespaces(context.manifest, context.resources)


def select_objects(objects: Sequence[ComparedObject], request: SyncRequest) -> list[ComparedObject]:
    """Select the objects that an operation is limited to."""
    if not request.selected:
        return list(objects)
    return [compared for compared in objects if any(_is_selected(compared, selector) for selector in request.selected)]


def _is_selected(compared: ComparedObject, selector: ResourceSelector) -> bool:
    entry = compared.entry
    is_same = (entry.group, entry.kind, entry.name) == (selector.group, selector.kind, selector.name)
    return is_same and selector.namespace in ("", entry.namespace)


def find_gate_refusal(context: ApplicationContext) -> str:
    """Return why the gate refuses the objects of an Application; empty if it accepts them."""
    objects = [*context.build.objects, *build_namespaces(context)]
    refusal = gate_refusal.find_refusal(context.verdict, objects, context.build.folders)
    return f"{refusal.reason}: {refusal.message}" if refusal is not None else ""


def find_shared_resource(context: ApplicationContext, objects: Sequence[ComparedObject]) -> str:
    """Return which object another Application tracks; empty if there is none."""
    for compared in objects:
        owner = resource_tracking.find_owner(context.target.tracking, compared.live) if compared.live else ""
        if owner not in ("", context.target.instance_name):
            return f"{compared.entry} is tracked by the Application {owner} (`FailOnSharedResource`)"
    return ""


def find_held_prune(context: ApplicationContext, objects: Sequence[ComparedObject]) -> str:
    """Return why pruning waits for approval; empty if it may run, or nothing would be pruned.

    Raises:
        SpecError: an object to prune has an unknown sync option.
    """
    if context.approved_revision in (context.revision, *context.build.revisions):
        return ""
    leaving = [
        compared.entry
        for compared in objects
        if compared.should_prune
        and compared.live is not None
        and context.options.for_object(compared.live).get("Prune") == "true"
    ]
    live_count = sum(1 for compared in objects if compared.live is not None)
    is_empty = all(compared.should_prune for compared in objects)
    excess = prune_budget.find_excess(leaving, live_count, is_empty, context.environment.budget)
    return prune_budget.format_hold(excess, "Application", context.revision)


def is_deletion_confirmed(value: Object, since: float) -> bool:
    """Whether a user has confirmed deletions of an Application since a time, in seconds since 1970."""
    try:
        confirmed_at = datetime.fromisoformat(read_labels(value, "annotations").get(DELETION_APPROVED, ""))
    except ValueError:
        return False
    return confirmed_at.timestamp() >= since
