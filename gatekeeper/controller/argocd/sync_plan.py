"""What a sync of an Application is to do, and why it is not to be done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gatekeeper.apply import gate_refusal, prune_budget
from gatekeeper.apply.changes import ChangeCause, ObjectChange
from gatekeeper.apply.model import ApplySet, AuditEvent, ReconcileOutcome, ReconcileResult
from gatekeeper.apply.prune import PruneResult
from gatekeeper.argocd import resource_tracking
from gatekeeper.argocd.model import ComparedObject
from gatekeeper.argocd.sync import comparison, namespace_creation, sync_tasks
from gatekeeper.argocd.sync import operation as sync_operation
from gatekeeper.argocd.sync.operation import OperationState
from gatekeeper.argocd.sync.sync_engine import SyncPlan
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.controller.argocd.context import ApplicationContext
from gatekeeper.kube.labels import read_labels
from gatekeeper.model import get_field

# Where somebody lets more be deleted than the budget does; and confirms deletions, since when.
APPROVED_REVISION, DELETION_APPROVED = "gatekeeper-gitops.io/approved-revision", "argocd.argoproj.io/deletion-approved"


def build_plan(
    context: ApplicationContext, items: Sequence[ComparedObject], operation: OperationState, state: OperationState
) -> SyncPlan:
    """What a sync is to do."""
    sync = operation.get("sync") or {}
    general = sync_operation.resolve_sync_options(context.application, operation)
    mine = select_items(items, operation)
    if general.is_enabled("ApplyOutOfSyncOnly"):
        mine = [one for one in mine if one.status != "Synced"]
    prunes = bool(sync.get("prune")) and not find_held_prune(context, items)
    began = int(datetime.fromisoformat(str(state["startedAt"])).timestamp())
    with_hooks = not sync_operation.list_selected_resources(operation) and "apply" not in (
        sync.get("syncStrategy") or {}
    )
    commit = context.build.revisions[0] if context.build.revisions else ""
    all_ = sync_tasks.build_object_tasks(mine, general, prunes)
    all_ += sync_tasks.build_hook_tasks(context.hooks, commit, began) if with_hooks else []
    strategy = sync.get("syncStrategy") or {}
    is_forced = any(get_field(strategy, (name, "force")) is True for name in ("apply", "hook"))

    def note(changes: Sequence[ObjectChange], gone: Sequence[PruneResult]) -> None:
        outcome = ReconcileOutcome(False, "Pruning" if gone else "Syncing", format_revision(context))
        act = build_result(context, outcome, changes, gone)
        context.environment.record(
            AuditEvent(
                "delete" if gone else "apply",
                act,
                format_revision(context),
                context.verdict,
                read_approved_revision(context),
            )
        )

    method = comparison.build_apply_policy(context.build, general, is_forced)
    return SyncPlan(
        context.target,
        sync_tasks.sort_tasks(all_),
        method,
        general,
        is_deletion_confirmed(context.manifest, began),
        context.tracking,
        context.instance_name,
        note,
        {one.entry.id: one.change for one in mine if one.change is not None and _is_tried(one.change)},
    )


def _is_tried(change: ObjectChange) -> bool:
    return change.action != "failed" and change.cause is not ChangeCause.DEPENDENCY_IN_SAME_RUN


def build_namespace(context: ApplicationContext) -> list[Object]:
    """The namespace that is made for an Application, if it asks for one."""
    return namespace_creation.build_namespaces(context.manifest, context.resources)


def select_items(items: Sequence[ComparedObject], operation: OperationState) -> list[ComparedObject]:
    """What an operation is about."""
    listed = sync_operation.list_selected_resources(operation)
    if not listed:
        return list(items)
    return [one for one in items if any(_is_selected(one, *names) for names in listed)]


def _is_selected(item: ComparedObject, group: str, kind: str, namespace: str, name: str) -> bool:
    entry = item.entry
    return (entry.group, entry.kind, entry.name) == (group, kind, name) and namespace in ("", entry.namespace)


def find_gate_refusal(context: ApplicationContext) -> str:
    """Why the gate does not let an Application be synced; empty where it does."""
    outcome = gate_refusal.find_refusal(
        context.verdict, [*context.build.objects, *build_namespace(context)], context.build.folders
    )
    return f"{outcome.reason}: {outcome.message}" if outcome is not None else ""


def find_shared_resource(context: ApplicationContext, items: Sequence[ComparedObject]) -> str:
    """Why something of an Application belongs to another; empty where nothing does."""
    for one in items:
        other = resource_tracking.find_owner(context.tracking, one.live) if one.live is not None else ""
        if other not in ("", context.instance_name):
            return f"{one.entry} belongs to the Application {other} (`FailOnSharedResource`)"
    return ""


def find_held_prune(context: ApplicationContext, items: Sequence[ComparedObject]) -> str:
    """Why what would go waits; empty where it may, or nothing goes."""
    own = format_revision(context)
    if read_approved_revision(context) in (own, *context.build.revisions):
        return ""
    general = context.options
    going = [
        one.entry
        for one in items
        if one.should_prune and one.live is not None and general.for_object(one.live).get("Prune") == "true"
    ]
    before = sum(1 for one in items if one.live is not None)
    reason = prune_budget.find_excess(going, before, all(one.should_prune for one in items), context.environment.budget)
    return f"{reason}; approve it with the annotation {APPROVED_REVISION}: {own}" if reason else ""


def read_approved_revision(context: ApplicationContext) -> str:
    """The revision for which somebody lets more be deleted than the budget does; empty for none."""
    return read_labels(context.manifest, "annotations").get(APPROVED_REVISION, "")


def is_deletion_confirmed(value: Object, since: float) -> bool:
    """Whether somebody has confirmed deletions since something began."""
    try:
        return datetime.fromisoformat(read_labels(value, "annotations").get(DELETION_APPROVED, "")).timestamp() >= since
    except ValueError:
        return False


def format_revision(context: ApplicationContext) -> str:
    """The commits of an Application, for people."""
    return " ".join(context.build.revisions)


def build_result(
    context: ApplicationContext,
    outcome: ReconcileOutcome,
    changes: Sequence[ObjectChange],
    pruned: Sequence[PruneResult],
) -> ReconcileResult:
    """What was done with an Application, for those who note it."""
    folder = context.build.folders[0] if context.build.folders else ""
    return ReconcileResult(ApplySet(context.manifest, folder, context.build.objects), outcome, changes, pruned)
