"""PreDelete and PostDelete hooks; a finalizer keeps the Application until they have finished.

A hook belongs to this deletion if it was created after the deletion began; an older one is from another time.
Source: argo-cd `docs/user-guide/resource_hooks.md` (PreDelete, PostDelete), `controller/hook.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from gatekeeper.apply.changes import FIELD_MANAGER, ObjectChange
from gatekeeper.apply.inventory import entry_of
from gatekeeper.argocd.health import resource_health
from gatekeeper.argocd.sync import sync_tasks
from gatekeeper.argocd.sync.comparison import get_object
from gatekeeper.argocd.sync.sync_engine import delete_object
from gatekeeper.controller.argocd import sync_plan
from gatekeeper.controller.argocd.application_events import build_deletion_outcome, record_planned
from gatekeeper.controller.argocd.context import ApplicationContext
from gatekeeper.errors import ToolError
from gatekeeper.model import Object, get_field

PRE_DELETE, POST_DELETE = "PreDelete", "PostDelete"
HOOK_FINALIZERS = {
    PRE_DELETE: "pre-delete-finalizer.argocd.argoproj.io",
    POST_DELETE: "post-delete-finalizer.argocd.argoproj.io",
}
# The finalizer with this suffix is kept until the succeeded hooks are deleted.
CLEANUP_SUFFIX = "/cleanup"


def resolve_finalizers(context: ApplicationContext) -> list[str] | None:
    """Return the finalizers that an Application needs for its hooks; None if it has them."""
    current = [str(name) for name in get_field(context.manifest, ("metadata", "finalizers")) or ()]
    needed = list(current)
    for hook_type, finalizer in HOOK_FINALIZERS.items():
        has_hook = any(hook_type in sync_tasks.hook_types_of(hook) for hook in context.hooks)
        for name in (finalizer, f"{finalizer}{CLEANUP_SUFFIX}"):
            if has_hook and name not in needed:
                needed.append(name)
            elif not has_hook and name in needed:
                needed.remove(name)
    return needed if needed != current else None


def has_hook_finalizer(finalizers: Sequence[str]) -> bool:
    """Whether an Application with these finalizers has hooks to run."""
    return any(name in finalizers or f"{name}{CLEANUP_SUFFIX}" in finalizers for name in HOOK_FINALIZERS.values())


def run_hooks(context: ApplicationContext, hook_type: str) -> bool:
    """Start the hooks of a type, wave by wave.

    Returns:
        Whether all have finished.

    Raises:
        ToolError: a hook failed, the gate refuses the hooks, or the cluster does not answer.
    """
    refusal = sync_plan.find_gate_refusal(context)
    if refusal:
        raise ToolError(refusal)
    hooks = [hook for hook in context.hooks if hook_type in sync_tasks.hook_types_of(hook)]
    for _, wave in groupby(sorted(hooks, key=sync_tasks.wave_of), sync_tasks.wave_of):
        # All hooks of a wave are started before one is waited for.
        is_finished = [_advance_hook(context, hook, hook_type) for hook in wave]
        if not all(is_finished):
            return False
    return True


def _advance_hook(context: ApplicationContext, hook: Object, hook_type: str) -> bool:
    """Start a hook that has not started yet; return whether it has finished."""
    entry = entry_of(hook)
    live = get_object(context.destination_client, entry)
    if live is None:
        _start_hook(context, hook, hook_type)
        return False
    if _parse_time(live, "creationTimestamp") < _parse_time(context.manifest, "deletionTimestamp"):
        delete_object(context.destination_client, entry)
        return False
    health = resource_health.compute_health(live, context.target.tracking.health_scripts)
    if health is not None and health.status == "Degraded":
        raise ToolError(f"the hook {entry} failed: {health.message or 'it is degraded'}")
    return health is None or health.status == "Healthy"


def _start_hook(context: ApplicationContext, hook: Object, hook_type: str) -> None:
    kind = context.destination_client.find_kind(hook["apiVersion"], hook["kind"])
    if kind is None:
        raise ToolError(f"the hook {entry_of(hook)} cannot start: the cluster has no kind {hook['kind']}")
    change = ObjectChange(hook, "create", f"the hook {hook_type}")
    record_planned(context, [change], outcome=build_deletion_outcome(context.manifest))
    context.destination_client.apply(kind, hook, FIELD_MANAGER, False)


def _parse_time(value: Object, field: str) -> datetime:
    return datetime.fromisoformat(str(get_field(value, ("metadata", field))))


def delete_succeeded_hooks(context: ApplicationContext, hook_type: str) -> None:
    """Delete the hooks of a type whose delete policy is `HookSucceeded`.

    Raises:
        ToolError: the cluster does not answer, or refuses the deletion.
    """
    for hook in context.hooks:
        is_deleted = sync_tasks.HOOK_SUCCEEDED in sync_tasks.delete_policies_of(hook)
        if is_deleted and hook_type in sync_tasks.hook_types_of(hook):
            delete_object(context.destination_client, entry_of(hook))
