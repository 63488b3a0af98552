"""Hooks that run before the objects of an Application go, and after: as long as one runs, the Application stays.

What of them was done is told by when they were made: after the Application began to be deleted, or before.
Source: argo-cd `docs/user-guide/resource_hooks.md` (PreDelete, PostDelete), `controller/hook.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from gatekeeper.apply.changes import FIELD_MANAGER, ObjectChange
from gatekeeper.apply.inventory import entry_of
from gatekeeper.apply.model import AuditEvent, ReconcileOutcome
from gatekeeper.argocd.health import resource_health
from gatekeeper.argocd.sync import comparison, sync_engine, sync_tasks
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.controller.argocd import sync_plan
from gatekeeper.controller.argocd.context import ApplicationContext
from gatekeeper.errors import ToolError
from gatekeeper.model import get_field

PRE_DELETE, POST_DELETE = "PreDelete", "PostDelete"
HOOK_FINALIZERS = {
    PRE_DELETE: "pre-delete-finalizer.argocd.argoproj.io",
    POST_DELETE: "post-delete-finalizer.argocd.argoproj.io",
}
CLEANUP_SUFFIX = "/cleanup"
RECHECK_SECONDS = 1.0


def resolve_finalizers(context: ApplicationContext) -> list[str] | None:
    """The finalizers that an Application must have for its hooks; None where it has them."""
    held = [str(one) for one in get_field(context.manifest, ("metadata", "finalizers")) or ()]
    wanted = list(held)
    for hook, name in HOOK_FINALIZERS.items():
        has_any = any(hook in sync_tasks.hook_types_of(one) for one in context.hooks)
        for one in (name, f"{name}{CLEANUP_SUFFIX}"):
            if has_any and one not in wanted:
                wanted.append(one)
            elif not has_any and one in wanted:
                wanted.remove(one)
    return wanted if wanted != held else None


def has_hook_finalizer(finalizers: Sequence[str]) -> bool:
    """Whether hooks are to run, by the finalizers of an Application."""
    return any(one in finalizers or f"{one}{CLEANUP_SUFFIX}" in finalizers for one in HOOK_FINALIZERS.values())


def run_hooks(context: ApplicationContext, hook_type: str) -> float | None:
    """Goes on with the hooks of a kind, wave by wave.

    Returns:
        In how many seconds to look again; None when all are done.

    Raises:
        ToolError: one failed, the gate refuses them, or the cluster does not do it.
    """
    refused = sync_plan.find_gate_refusal(context)
    if refused:
        raise ToolError(refused)
    mine = sorted((one for one in context.hooks if hook_type in sync_tasks.hook_types_of(one)), key=sync_tasks.wave_of)
    for _, wave in groupby(mine, sync_tasks.wave_of):
        waits = [_advance_hook(context, one, hook_type) for one in wave]
        if any(waits):
            return RECHECK_SECONDS
    return None


def _advance_hook(context: ApplicationContext, value: Object, hook_type: str) -> bool:
    """Whether a hook is to be waited for; it is begun if it was not."""
    cluster, entry = context.target.cluster, entry_of(value)
    live = comparison.get_object(cluster, entry)
    if live is not None and _parse_time(live, "creationTimestamp") < _parse_time(context.manifest, "deletionTimestamp"):
        # It is left of another time.
        sync_engine.delete_object(cluster, entry)
        return True
    if live is None:
        kind = cluster.find_kind(value["apiVersion"], value["kind"])
        if kind is None:
            raise ToolError(f"the kind {value['kind']} of the hook {entry} is not there")
        outcome = ReconcileOutcome(False, "Pruning", f"the Application {context.application.name} is deleted")
        done = sync_plan.build_result(context, outcome, [ObjectChange(value, "create", f"the hook {hook_type}")], ())
        context.environment.record(AuditEvent("apply", done, sync_plan.format_revision(context), context.verdict))
        cluster.apply(kind, value, FIELD_MANAGER, False)
        return True
    found = resource_health.compute_health(live, context.tracking.health_scripts)
    if found is not None and found.status == "Degraded":
        raise ToolError(f"the hook {entry} failed: {found.message or 'it is degraded'}")
    return found is not None and found.status != "Healthy"


def _parse_time(value: Object, field: str) -> datetime:
    return datetime.fromisoformat(str(get_field(value, ("metadata", field))))


def delete_succeeded_hooks(context: ApplicationContext, hook_type: str) -> None:
    """Takes away the hooks that go with their success.

    Raises:
        ToolError: the cluster does not do it.
    """
    for one in context.hooks:
        if hook_type in sync_tasks.hook_types_of(one) and sync_tasks.HOOK_SUCCEEDED in sync_tasks.delete_policies_of(
            one
        ):
            sync_engine.delete_object(context.target.cluster, entry_of(one))
