"""Hooks that run before the objects of an Application go, and after: as long as one runs, the Application stays.

What of them was done is told by when they were made: after the Application began to be deleted, or before.
Source: argo-cd `docs/user-guide/resource_hooks.md` (PreDelete, PostDelete), `controller/hook.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from gatekeeper.apply import server_side_apply
from gatekeeper.apply.inventory import entry_of
from gatekeeper.apply.model import Act, Outcome
from gatekeeper.apply.server_side_apply import Change
from gatekeeper.argocd.health import resource_health
from gatekeeper.argocd.sync import comparison, sync_engine, sync_tasks
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.controller.argocd import sync_plan
from gatekeeper.controller.argocd.context import Case
from gatekeeper.errors import ToolError
from gatekeeper.model import at

BEFORE, AFTER = "PreDelete", "PostDelete"
FINALIZERS = {BEFORE: "pre-delete-finalizer.argocd.argoproj.io", AFTER: "post-delete-finalizer.argocd.argoproj.io"}
CLEANUP = "/cleanup"
PAUSE = 1.0


def finalizers(case: Case) -> list[str] | None:
    """The finalizers that an Application must have for its hooks; None where it has them."""
    held = [str(one) for one in at(case.value, ("metadata", "finalizers")) or ()]
    wanted = list(held)
    for hook, name in FINALIZERS.items():
        has_any = any(hook in sync_tasks.hooks_of(one) for one in case.hooks)
        for one in (name, f"{name}{CLEANUP}"):
            if has_any and one not in wanted:
                wanted.append(one)
            elif not has_any and one in wanted:
                wanted.remove(one)
    return wanted if wanted != held else None


def is_wanted(held: Sequence[str]) -> bool:
    """Whether hooks are to run, by the finalizers of an Application."""
    return any(one in held or f"{one}{CLEANUP}" in held for one in FINALIZERS.values())


def run(case: Case, hook: str) -> float | None:
    """Goes on with the hooks of a kind, wave by wave.

    Returns:
        In how many seconds to look again; None when all are done.

    Raises:
        ToolError: one failed, the gate refuses them, or the cluster does not do it.
    """
    refused = sync_plan.refusal(case)
    if refused:
        raise ToolError(refused)
    mine = sorted((one for one in case.hooks if hook in sync_tasks.hooks_of(one)), key=sync_tasks.wave_of)
    for _, wave in groupby(mine, sync_tasks.wave_of):
        waits = [_goes_on(case, one, hook) for one in wave]
        if any(waits):
            return PAUSE
    return None


def _goes_on(case: Case, value: Object, hook: str) -> bool:
    """Whether a hook is to be waited for; it is begun if it was not."""
    cluster, entry = case.there.cluster, entry_of(value)
    live = comparison.got(cluster, entry)
    if live is not None and _moment(live, "creationTimestamp") < _moment(case.value, "deletionTimestamp"):
        # It is left of another time.
        sync_engine.remove(cluster, entry)
        return True
    if live is None:
        kind = cluster.kind(value["apiVersion"], value["kind"])
        if kind is None:
            raise ToolError(f"the kind {value['kind']} of the hook {entry} is not there")
        outcome = Outcome(False, "Pruning", f"the Application {case.application.name} is deleted")
        done = sync_plan.done(case, outcome, [Change(value, "create", f"the hook {hook}")], ())
        case.place.note(Act("apply", done, sync_plan.revision(case), case.verdict))
        cluster.apply(kind, value, server_side_apply.MANAGER, False)
        return True
    found = resource_health.of(live, case.mark.scripts)
    if found is not None and found.word == "Degraded":
        raise ToolError(f"the hook {entry} failed: {found.message or 'it is degraded'}")
    return found is not None and found.word != "Healthy"


def _moment(value: Object, name: str) -> datetime:
    return datetime.fromisoformat(str(at(value, ("metadata", name))))


def clean(case: Case, hook: str) -> None:
    """Takes away the hooks that go with their success.

    Raises:
        ToolError: the cluster does not do it.
    """
    for one in case.hooks:
        if hook in sync_tasks.hooks_of(one) and sync_tasks.SUCCEEDED in sync_tasks.policies_of(one):
            sync_engine.remove(case.there.cluster, entry_of(one))
