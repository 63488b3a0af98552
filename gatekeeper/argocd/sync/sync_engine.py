"""A sync, step by step: what it has done stands in the Application's status, and each step goes on from there.

Whoever is ended in the middle of it, or replaced by another replica, leaves nothing that is done twice.
Source: argo-cd `docs/user-guide/{sync-waves,resource_hooks}.md`, `gitops-engine/pkg/sync/sync_context.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from gatekeeper.apply import server_side_apply
from gatekeeper.apply.inventory import Entry, entry_of
from gatekeeper.apply.server_side_apply import Change, Gone
from gatekeeper.argocd import resource_tracking
from gatekeeper.argocd.destination import There
from gatekeeper.argocd.health import resource_health
from gatekeeper.argocd.model import Item, Result, Running
from gatekeeper.argocd.resource_tracking import Tracking
from gatekeeper.argocd.sync import sync_tasks
from gatekeeper.argocd.sync.comparison import got
from gatekeeper.argocd.sync.sync_options import Options
from gatekeeper.argocd.sync.sync_tasks import Task
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.errors import ToolError
from gatekeeper.model import at

# Between two waves, so that other controllers see what came.
PAUSE = 2.0


class Plan(NamedTuple):
    """What a sync is to do.

    Attributes:
        all: tasks in their order.
        method: how each object is applied.
        options: what counts for the Application.
        approved: whether what is to be confirmed was.
        app: the name that objects are marked with.
        note: is told what will be done before it is; where it cannot note it, it is not done.
        tried: what applying does, where that was tried just now; it counts for what is done first.
    """

    there: There
    all: Sequence[Task]
    method: server_side_apply.How
    options: Options
    approved: bool
    mark: Tracking
    app: str
    note: Callable[[Sequence[Change], Sequence[Gone]], None]
    tried: Mapping[str, Change] = MappingProxyType({})

    @property
    def is_multiple(self) -> bool:
        """Whether something comes after something else, so that it is waited for what comes first."""
        return len({(task.phase, task.wave) for task in self.all if task.phase != "SyncFail"}) > 1


class Step(NamedTuple):
    """How far a sync is.

    Attributes:
        after: seconds until it may go on, where nothing happens before.
    """

    running: Running
    message: str
    results: tuple[Result, ...]
    after: float | None = None


def step(plan: Plan, results: Sequence[Result]) -> Step:
    """Goes on with a sync as far as it can be gone on with now.

    Args:
        results: what was done so far.

    Raises:
        ToolError: the cluster does not tell, or it cannot be noted.
    """
    held = {_key(one): one for one in results}
    while True:
        for key, one in held.items():
            if one.running == "Running":
                held[key] = _looked(plan, one)
        waits = [one for one in held.values() if one.running == "Running" and (one.hook or plan.is_multiple)]
        failed = [one for one in held.values() if one.running in ("Failed", "Error")]
        if waits and not (failed and all(one.phase != "SyncFail" for one in waits)):
            return Step("Running", _waiting(waits), tuple(held.values()))
        left = [task for task in plan.all if _name(task) not in held and (task.phase == "SyncFail") == bool(failed)]
        if not left:
            return _ended(plan, tuple(held.values()), failed)
        first = (left[0].phase, left[0].wave)
        group = [task for task in left if (task.phase, task.wave) == first]
        old = [task for task in group if task.hook and _is_there(plan, task)]
        if old:
            return Step("Running", f"waiting for the deletion of hook {old[0].entry}", tuple(held.values()), 1.0)
        for one in _done(plan, group):
            held[_key(one)] = one
        plan = plan._replace(tried={})
        is_last = len(group) == len(left)
        if not is_last and not any(one.running in ("Failed", "Error") for one in held.values()) and _wrote(held, group):
            return Step("Running", f"the next wave comes after {first[0]} {first[1]}", tuple(held.values()), PAUSE)


def _key(one: Result) -> tuple[str, str]:
    return one.phase, one.entry.id


def _name(task: Task) -> tuple[str, str]:
    return task.phase, task.entry.id


def _wrote(held: dict[tuple[str, str], Result], group: Sequence[Task]) -> bool:
    """Whether anything of a wave was another than before."""
    return any(held[_name(task)].message != UNCHANGED for task in group)


def _waiting(waits: Sequence[Result]) -> str:
    names = ", ".join(str(one.entry) for one in waits[:3])
    what = "completion of hook" if waits[0].hook else "healthy state of"
    return f"waiting for {what} {names}{f' and {len(waits) - 3} more' if len(waits) > 3 else ''}"


def _ended(plan: Plan, results: tuple[Result, ...], failed: Sequence[Result]) -> Step:
    """All is done: hooks that go with their success, or failure, go."""
    hooks = {_name(task): task for task in plan.all if task.hook}
    for one in results:
        task = hooks.get(_key(one))
        policies = sync_tasks.policies_of(task.value) if task is not None and task.value is not None else ()
        is_good = one.running == "Succeeded"
        if (is_good and sync_tasks.SUCCEEDED in policies) or (not is_good and sync_tasks.FAILED in policies):
            remove(plan.there.cluster, one.entry)
    if failed:
        words = "; ".join(f"{one.entry}: {one.message}" for one in failed[:3])
        return Step("Failed", f"one or more synchronization tasks completed unsuccessfully: {words}", results)
    return Step("Succeeded", "successfully synced (all tasks run)", results)


def _looked(plan: Plan, one: Result) -> Result:
    """What became of something that was applied."""
    live = got(plan.there.cluster, one.entry)
    task = next((task for task in plan.all if _name(task) == _key(one)), None)
    if live is None:
        # A Job may take itself away when it is done.
        is_brief = at(task.value if task else None, ("spec", "ttlSecondsAfterFinished")) is not None
        if is_brief:
            return one._replace(running="Succeeded", message="it is done, and gone")
        return one._replace(running="Failed", message="it was deleted while it was waited for")
    found = resource_health.of(live, plan.mark.scripts)
    if at(live, ("metadata", "deletionTimestamp")):
        return one._replace(running="Failed", message="it is being deleted")
    if found is None or found.word == "Healthy":
        return one._replace(running="Succeeded", message=found.message if found and found.message else one.message)
    if found.word == "Degraded":
        return one._replace(running="Failed", message=found.message or "it is degraded")
    return one


UNCHANGED = "unchanged"


def _done(plan: Plan, group: Sequence[Task]) -> list[Result]:
    """Does what is of one wave: what goes first, then what comes."""
    going = [task for task in group if task.value is None]
    plain = [task for task in group if task.value is not None and not task.hook]
    hooks = [task for task in group if task.hook]
    found = _pruned(plan, going) if going else []
    changes = server_side_apply.applied(
        plan.there.cluster, sync_tasks.stages(plain), plan.method, lambda made: plan.note(made, ()), plan.tried
    )
    by_id = {entry_of(change.value).id: change for change in changes}
    for task in plain:
        change = by_id.get(task.entry.id)
        if change is None:
            found.append(
                Result(task.entry, task.phase, "SyncFailed", "Failed", "not applied, for something before it failed")
            )
        elif change.action == "failed" or "of the same stage failed" in change.reason:
            found.append(Result(task.entry, task.phase, "SyncFailed", "Failed", change.reason))
        else:
            words = {"create": "created", "configure": "configured"}.get(change.action, UNCHANGED)
            found.append(Result(task.entry, task.phase, "Synced", "Running", words))
    return [*found, *(_hooked(plan, task) for task in hooks)]


def _pruned(plan: Plan, going: Sequence[Task]) -> list[Result]:
    keep = partial(_keep, plan)
    gone = server_side_apply.to_go(plan.there.cluster, [task.entry for task in going], keep)
    if any(one.action == "delete" for one in gone):
        plan.note((), gone)
    taken = server_side_apply.taken(plan.there.cluster, gone, keep, plan.options.propagation)
    found = []
    for one in taken:
        if one.action == "failed":
            found.append(Result(one.entry, "Sync", "SyncFailed", "Failed", one.reason))
        elif one.action == "keep":
            found.append(Result(one.entry, "Sync", "PruneSkipped", "Succeeded", one.reason))
        else:
            found.append(Result(one.entry, "Sync", "Pruned", "Succeeded", "pruned"))
    return found


def _keep(plan: Plan, live: Object) -> str:
    """Why something that is not wanted any more stays; empty where it goes."""
    if resource_tracking.owner(plan.mark, live) != plan.app:
        return "it is not marked as this Application's"
    held = plan.options.of(live).get("Prune")
    if held == "false":
        return "it says that it is not pruned (`Prune=false`)"
    if held == "confirm" and not plan.approved:
        return "it waits until somebody confirms that it goes (`Prune=confirm`)"
    return ""


def _hooked(plan: Plan, task: Task) -> Result:
    """Begins a hook."""
    value = task.value
    assert value is not None
    made = Result(task.entry, task.phase, "", "Running", "started", task.hook)
    try:
        kind = plan.there.cluster.kind(value["apiVersion"], value["kind"])
        if kind is None:
            return made._replace(running="Failed", message=f"the kind {value['kind']} is not there")
        plan.note([Change(value, "create", f"the hook {task.hook}")], ())
        plan.there.cluster.apply(kind, value, server_side_apply.MANAGER, False)
    except ToolError as error:
        return made._replace(running="Failed", message=str(error))
    return made


def _is_there(plan: Plan, task: Task) -> bool:
    """Whether a hook is still there from before; if it goes before it is made anew, it is told to go."""
    if task.value is None or sync_tasks.BEFORE not in sync_tasks.policies_of(task.value):
        return False
    remove(plan.there.cluster, task.entry)
    return got(plan.there.cluster, task.entry) is not None


def remove(cluster: Objects, entry: Entry) -> None:
    """Takes an object away, if it is there."""
    kind, live = cluster.kind(entry.api_version, entry.kind), got(cluster, entry)
    if kind is not None and live is not None:
        cluster.delete(kind, entry.namespace, entry.name, live["metadata"]["uid"])


def refused(items: Sequence[Item], options: Options) -> list[Result]:
    """What of the objects the cluster would not take, as it says in a dry run: with one of them nothing is begun."""
    found = []
    for one in items:
        if one.change is None or one.change.action != "failed":
            continue
        is_let = "is not there" in one.change.reason and options.of(one.change.value).has("SkipDryRunOnMissingResource")
        if not is_let:
            found.append(Result(one.entry, "Sync", "SyncFailed", "Failed", one.change.reason))
    return found
