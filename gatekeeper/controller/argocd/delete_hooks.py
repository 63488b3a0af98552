"""Hooks that run before the objects of an Application go, and after: as long as one runs, the Application stays.

What of them was done is told by when they were made: after the Application began to be deleted, or before.
Source: argo-cd `docs/user-guide/resource_hooks.md` (PreDelete, PostDelete), `controller/hook.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from gatekeeper.applications import comparing, health, syncing, tasks
from gatekeeper.cluster.objects import Object
from gatekeeper.controller import planning
from gatekeeper.controller.cases import Case
from gatekeeper.errors import ToolError
from gatekeeper.model import at
from gatekeeper.reconciling import applying
from gatekeeper.reconciling.applying import Change
from gatekeeper.reconciling.inventory import entry_of
from gatekeeper.reconciling.model import Act
from gatekeeper.reconciling.outcomes import Outcome

BEFORE, AFTER = "PreDelete", "PostDelete"
FINALIZERS = {BEFORE: "pre-delete-finalizer.argocd.argoproj.io", AFTER: "post-delete-finalizer.argocd.argoproj.io"}
CLEANUP = "/cleanup"
PAUSE = 1.0


def finalizers(case: Case) -> list[str] | None:
    """The finalizers that an Application must have for its hooks; None where it has them."""
    held = [str(one) for one in at(case.value, ("metadata", "finalizers")) or ()]
    wanted = list(held)
    for hook, name in FINALIZERS.items():
        has_any = any(hook in tasks.hooks_of(one) for one in case.hooks)
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
    refused = planning.refusal(case)
    if refused:
        raise ToolError(refused)
    mine = sorted((one for one in case.hooks if hook in tasks.hooks_of(one)), key=tasks.wave_of)
    for _, wave in groupby(mine, tasks.wave_of):
        waits = [_goes_on(case, one, hook) for one in wave]
        if any(waits):
            return PAUSE
    return None


def _goes_on(case: Case, value: Object, hook: str) -> bool:
    """Whether a hook is to be waited for; it is begun if it was not."""
    cluster, entry = case.there.cluster, entry_of(value)
    live = comparing.got(cluster, entry)
    if live is not None and _moment(live, "creationTimestamp") < _moment(case.value, "deletionTimestamp"):
        # It is left of another time.
        syncing.remove(cluster, entry)
        return True
    if live is None:
        kind = cluster.kind(value["apiVersion"], value["kind"])
        if kind is None:
            raise ToolError(f"the kind {value['kind']} of the hook {entry} is not there")
        outcome = Outcome(False, "Pruning", f"the Application {case.application.name} is deleted")
        done = planning.done(case, outcome, [Change(value, "create", f"the hook {hook}")], ())
        case.place.note(Act("apply", done, planning.revision(case), case.verdict))
        cluster.apply(kind, value, applying.MANAGER, False)
        return True
    found = health.of(live, case.mark.scripts)
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
        if hook in tasks.hooks_of(one) and tasks.SUCCEEDED in tasks.policies_of(one):
            syncing.remove(case.there.cluster, entry_of(one))
