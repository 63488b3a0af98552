"""What a sync of an Application is to do, and why it is not to be done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gatekeeper.apply import gate_refusal, prune_budget
from gatekeeper.apply.model import Act, Asked, Done, Outcome
from gatekeeper.apply.server_side_apply import UNTRIED, Change, Gone
from gatekeeper.argocd import resource_tracking
from gatekeeper.argocd.model import Item
from gatekeeper.argocd.sync import comparison, namespace_creation, sync_tasks
from gatekeeper.argocd.sync import operation as sync_operation
from gatekeeper.argocd.sync.operation import State
from gatekeeper.argocd.sync.sync_engine import Plan
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.controller.argocd.context import Case
from gatekeeper.kube.labels import labels_of
from gatekeeper.model import at

# Where somebody lets more be deleted than the budget does; and confirms deletions, since when.
APPROVED, CONFIRMED = "gatekeeper-gitops.io/approved-revision", "argocd.argoproj.io/deletion-approved"


def plan(case: Case, items: Sequence[Item], operation: State, state: State) -> Plan:
    """What a sync is to do."""
    sync = operation.get("sync") or {}
    general = sync_operation.options_for(case.application, operation)
    mine = chosen(items, operation)
    if general.has("ApplyOutOfSyncOnly"):
        mine = [one for one in mine if one.status != "Synced"]
    prunes = bool(sync.get("prune")) and not held(case, items)
    began = int(datetime.fromisoformat(str(state["startedAt"])).timestamp())
    with_hooks = not sync_operation.selected(operation) and "apply" not in (sync.get("syncStrategy") or {})
    commit = case.asked.revisions[0] if case.asked.revisions else ""
    all_ = sync_tasks.of_items(mine, general, prunes)
    all_ += sync_tasks.of_hooks(case.hooks, commit, began) if with_hooks else []
    strategy = sync.get("syncStrategy") or {}
    is_forced = any(at(strategy, (name, "force")) is True for name in ("apply", "hook"))

    def note(changes: Sequence[Change], gone: Sequence[Gone]) -> None:
        outcome = Outcome(False, "Pruning" if gone else "Syncing", revision(case))
        act = done(case, outcome, changes, gone)
        case.place.note(Act("delete" if gone else "apply", act, revision(case), case.verdict, approved(case)))

    method = comparison.how(case.asked, general, is_forced)
    return Plan(
        case.there,
        sync_tasks.ordered(all_),
        method,
        general,
        is_confirmed(case.value, began),
        case.mark,
        case.app,
        note,
        {one.entry.id: one.change for one in mine if one.change is not None and _is_tried(one.change)},
    )


def _is_tried(change: Change) -> bool:
    return change.action != "failed" and change.reason != UNTRIED


def space(case: Case) -> list[Object]:
    """The namespace that is made for an Application, if it asks for one."""
    return namespace_creation.space(case.value, case.plain)


def chosen(items: Sequence[Item], operation: State) -> list[Item]:
    """What an operation is about."""
    listed = sync_operation.selected(operation)
    if not listed:
        return list(items)
    return [one for one in items if any(_is(one, *names) for names in listed)]


def _is(one: Item, group: str, kind: str, namespace: str, name: str) -> bool:
    entry = one.entry
    return (entry.group, entry.kind, entry.name) == (group, kind, name) and namespace in ("", entry.namespace)


def refusal(case: Case) -> str:
    """Why the gate does not let an Application be synced; empty where it does."""
    outcome = gate_refusal.refusal(case.verdict, [*case.asked.objects, *space(case)], case.asked.folders)
    return f"{outcome.reason}: {outcome.message}" if outcome is not None else ""


def shared(case: Case, items: Sequence[Item]) -> str:
    """Why something of an Application belongs to another; empty where nothing does."""
    for one in items:
        other = resource_tracking.owner(case.mark, one.live) if one.live is not None else ""
        if other not in ("", case.app):
            return f"{one.entry} belongs to the Application {other} (`FailOnSharedResource`)"
    return ""


def held(case: Case, items: Sequence[Item]) -> str:
    """Why what would go waits; empty where it may, or nothing goes."""
    own = revision(case)
    if approved(case) in (own, *case.asked.revisions):
        return ""
    general = case.general
    going = [
        one.entry for one in items if one.goes and one.live is not None and general.of(one.live).get("Prune") == "true"
    ]
    before = sum(1 for one in items if one.live is not None)
    reason = prune_budget.excess(going, before, all(one.goes for one in items), case.place.budget)
    return f"{reason}; approve it with the annotation {APPROVED}: {own}" if reason else ""


def approved(case: Case) -> str:
    """The revision for which somebody lets more be deleted than the budget does; empty for none."""
    return labels_of(case.value, "annotations").get(APPROVED, "")


def is_confirmed(value: Object, began: float) -> bool:
    """Whether somebody has confirmed deletions since something began."""
    try:
        return datetime.fromisoformat(labels_of(value, "annotations").get(CONFIRMED, "")).timestamp() >= began
    except ValueError:
        return False


def revision(case: Case) -> str:
    """The commits of an Application, for people."""
    return " ".join(case.asked.revisions)


def done(case: Case, outcome: Outcome, changes: Sequence[Change], gone: Sequence[Gone]) -> Done:
    """What was done with an Application, for those who note it."""
    folder = case.asked.folders[0] if case.asked.folders else ""
    return Done(Asked(case.value, folder, case.asked.objects), outcome, changes, gone)
