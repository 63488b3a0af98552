"""One round of reconciling: render, judge, apply, take away, and tell of it, for each Kustomization in its order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from gatekeeper.cluster.objects import Object, Objects, Refusal
from gatekeeper.errors import SealError, ToolError
from gatekeeper.fields import FieldError
from gatekeeper.model import Verdict, at
from gatekeeper.reconciling import applying, budget, decrypting, inventory, marking, outcomes, waiting, wanting
from gatekeeper.reconciling.applying import Change, Gone
from gatekeeper.reconciling.budget import Budget
from gatekeeper.reconciling.inventory import Entry
from gatekeeper.reconciling.marking import GROUP
from gatekeeper.reconciling.outcomes import Outcome

VERSIONS = ("v1", "v1beta2", "v1beta1")
# So many Kustomizations at a time.
AT_ONCE = 8
Name = tuple[str, str]


class Asked(NamedTuple):
    """A Kustomization as it stands in Git, and what it applies.

    Attributes:
        folder: which of the repository it applies.
        lost: why not all of it could be rendered; empty where it could.
    """

    kustomization: Object
    folder: str
    objects: Sequence[Object]
    lost: str = ""

    @property
    def name(self) -> Name:
        """Namespace and name."""
        metadata = self.kustomization["metadata"]
        return metadata.get("namespace") or "default", metadata["name"]


class Done(NamedTuple):
    """What came of a Kustomization, or would."""

    asked: Asked
    outcome: Outcome
    changes: Sequence[Change] = ()
    gone: Sequence[Gone] = ()


class Round(NamedTuple):
    """What a round is asked.

    Attributes:
        revision: of the repository, as Flux writes it: `main@sha1:…`.
        approved: the revision for which somebody has approved that much is taken away.
        is_written: whether it is done, and not told only.
        stop: ends waiting, once it is set; what is being applied is applied.
    """

    cluster: Objects
    verdict: Verdict
    revision: str
    budget: Budget
    approved: str
    is_written: bool
    stop: threading.Event


def rounds(round_: Round, all_: Sequence[Asked], say: Callable[[Done], None]) -> list[Done]:
    """Each Kustomization after those that it depends on, and beside the others; what depends on one not ready waits."""
    done: dict[Name, Done] = {}
    left = list(all_)
    while left:
        names = {one.name for one in left}
        # In a circle nobody can be first; each is found not ready then.
        able = [one for one in left if not names & set(_needs(one))] or left
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for one in pool.map(partial(_in_turn, round_, done, names), able):
                done[one.asked.name] = one
                say(one)
        left = [one for one in left if one.name not in done]
    return list(done.values())


def _in_turn(round_: Round, done: Mapping[Name, Done], left: set[Name], asked: Asked) -> Done:
    for name in _needs(asked):
        if name in left or (name in done and not done[name].outcome.is_ready):
            message = f"dependency '{'/'.join(name)}' is not ready"
            return Done(asked, Outcome(False, "DependencyNotReady", message))
    return _reconciled(round_, asked)


def _needs(asked: Asked) -> list[Name]:
    listed = at(asked.kustomization, ("spec", "dependsOn")) or ()
    return [(one.get("namespace") or asked.name[0], one["name"]) for one in listed]


def _reconciled(round_: Round, asked: Asked) -> Done:
    if at(asked.kustomization, ("spec", "suspend")):
        return Done(asked, Outcome(True, "Suspended", "it is suspended: nothing is done"))
    refused = refusal(round_.verdict, asked)
    live = _live(round_.cluster, asked)
    if refused is not None:
        return _told(round_, live, Done(asked, refused), inventory.read(live))
    before = inventory.read(live)
    try:
        wanted = wanting.read(asked.kustomization)
        wanting.complete(asked.objects, asked.kustomization)
        objects = marking.owned(_opened(round_, asked), asked.kustomization)
    except (FieldError, SealError, ToolError) as error:
        return _told(round_, live, Done(asked, Outcome(False, "BuildFailed", str(error))), before)
    there = _acting(round_, asked, wanted.account)
    prunes = bool(at(asked.kustomization, ("spec", "prune")))
    leaving = inventory.gone(before, objects) if prunes else []
    gone = applying.to_go(there, leaving, asked.kustomization)
    held = _held(round_, asked, gone, len(before))
    if held and not objects:
        # An empty render is no wish.
        return _told(round_, live, Done(asked, Outcome(False, "PruneHeld", held), (), gone), before)
    if not round_.is_written:
        changes = applying.planned(there, objects)
        return Done(asked, _outcome(changes, gone, held, round_.revision), changes, gone)
    try:
        live = _noted(round_, live, before, objects)
    except Refusal as error:
        return Done(asked, Outcome(False, "StatusFailed", f"nothing is applied that cannot be noted: {error}"))
    changes = applying.applied(there, objects, bool(at(asked.kustomization, ("spec", "force"))))
    failed = any(change.action == "failed" for change in changes)
    # Nothing is taken away while something did not come; and with `prune: false` it is nobody's any more.
    taken = None if failed or held else applying.taken(there, gone, asked.kustomization)
    outcome = _outcome(changes, taken or (), held, round_.revision)
    if outcome.is_ready:
        reason = waiting.unready(there, waiting.targets(wanted, changes), wanted.timeout, round_.stop)
        outcome = Outcome(False, "HealthCheckFailed", reason) if reason else outcome
    return _told(round_, live, Done(asked, outcome, changes, taken or ()), outcomes.kept(before, changes, taken))


def _acting(round_: Round, asked: Asked, account: str) -> Objects:
    """The cluster, with the rights of the ServiceAccount that a Kustomization names; its status is ours to write."""
    user = f"system:serviceaccount:{asked.name[0]}:{account}"
    return round_.cluster.acting(user) if account else round_.cluster


def _opened(round_: Round, asked: Asked) -> list[Object]:
    """What is applied, in the clear; by the keys of the Secret that the Kustomization names.

    Raises:
        SealError: something is encrypted and cannot be opened.
    """
    sealed = [one for one in asked.objects if decrypting.is_sealed(one)]
    if not sealed:
        return list(asked.objects)
    name = at(asked.kustomization, ("spec", "decryption", "secretRef", "name"))
    if not isinstance(name, str):
        entry = inventory.entry_of(sealed[0])
        raise SealError(f"{entry} is encrypted with SOPS: name the keys in `spec.decryption.secretRef`")
    held = round_.cluster.secret(asked.name[0], name)
    if held is None:
        raise SealError(f"the Secret {asked.name[0]}/{name} to decrypt with is not there")
    return decrypting.opened(asked.objects, decrypting.keys_of(held))


def _noted(round_: Round, live: Object | None, before: Sequence[Entry], objects: Sequence[Object]) -> Object | None:
    """Notes what will be applied before it is: whoever is ended in between leaves nothing that nobody knows of."""
    known = {entry.id for entry in before}
    new = [entry for entry in map(inventory.entry_of, objects) if entry.id not in known]
    kind = round_.cluster.kind(live["apiVersion"], "Kustomization") if live is not None else None
    if live is None or kind is None or not new:
        return live
    return round_.cluster.patch_status(kind, live, {"inventory": outcomes.inventory_of([*before, *new])})


def _held(round_: Round, asked: Asked, gone: Sequence[Gone], before: int) -> str:
    """Why what would go waits; empty where it may."""
    if round_.approved == round_.revision:
        return ""
    leaving = [one.entry for one in gone if one.action == "delete"]
    reason = budget.excess(leaving, before, not asked.objects, round_.budget)
    return f"{reason}; approve it with --approve {round_.revision}" if reason else ""


def refusal(verdict: Verdict, asked: Asked) -> Outcome | None:
    """Why nothing of a Kustomization is applied: the gate refuses it, or could not judge; None where it may be."""
    if asked.lost:
        return Outcome(False, "BuildFailed", asked.lost)
    lost = [gap for gap in verdict.coverage.skipped if gap.fatal]
    if lost:
        return Outcome(False, "NotJudged", f"{lost[0].file}: {lost[0].reason}")
    own = {(one["kind"], at(one, ("metadata", "name"))) for one in asked.objects}
    found = [
        one
        for one in verdict.counting
        if one.severity == "error"
        and ((one.resource and (one.resource.kind, one.resource.name) in own) or _below(one.place.file, asked.folder))
    ]
    if not found:
        return None
    shown = "; ".join(f"{one.place.file}:{one.place.line}: {one.rule}: {one.message}" for one in found[:3])
    more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
    return Outcome(False, "Refused", f"{shown}{more}")


def _below(file: str, folder: str) -> bool:
    return not folder or file.startswith(f"{folder}/")


def _outcome(changes: Sequence[Change], gone: Sequence[Gone], held: str, revision: str) -> Outcome:
    failed = [f"{change}: {change.reason}" for change in changes if change.action == "failed"]
    if failed:
        return Outcome(False, "ReconciliationFailed", "; ".join(failed))
    lost = [f"{one.entry}: {one.reason}" for one in gone if one.action == "failed"]
    if lost:
        return Outcome(False, "PruneFailed", "; ".join(lost))
    if held:
        return Outcome(False, "PruneHeld", held)
    return Outcome(True, "ReconciliationSucceeded", f"Applied revision: {revision}")


def _live(cluster: Objects, asked: Asked) -> Object | None:
    """The Kustomization as it is in the cluster, which knows what was applied; None where it is not there."""
    kind = cluster.newest(GROUP, VERSIONS, "Kustomization")
    return cluster.get(kind, *asked.name) if kind else None


def _told(round_: Round, live: Object | None, done: Done, held: Sequence[Entry]) -> Done:
    """Writes the status of a Kustomization that is in the cluster; what was applied is noted whatever came of it."""
    if live is None or not round_.is_written:
        return done
    cluster, now = round_.cluster, time.time()
    kind, events = cluster.kind(live["apiVersion"], "Kustomization"), cluster.kind("v1", "Event")
    status = outcomes.status_of(live, done.outcome, round_.revision, held, now)
    event = outcomes.event_of(live, done.outcome, round_.revision, now)
    try:
        if kind is not None:
            cluster.patch_status(kind, live, status)
        if event is not None and events is not None:
            cluster.create(events, event)
    except Refusal as error:
        return done._replace(outcome=Outcome(False, "StatusFailed", str(error)))
    return done
