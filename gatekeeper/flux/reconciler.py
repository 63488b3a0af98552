"""One Kustomization from the verdict on: opened, applied, taken away, waited for, and told of in the cluster."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from gatekeeper.apply import gate_refusal, inventory, order, prune_budget, server_side_apply
from gatekeeper.apply.inventory import Entry
from gatekeeper.apply.model import Asked, Done, Outcome, Round
from gatekeeper.apply.server_side_apply import Change, Gone
from gatekeeper.cluster import secret_values
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.errors import SealError, ToolError
from gatekeeper.flux import (
    decryption,
    health_expressions,
    kustomization_spec,
    ownership,
    readiness,
    status,
    status_writer,
    target_cluster,
)
from gatekeeper.flux.kustomization_spec import Wanted
from gatekeeper.flux.model import VERSIONS, Begun
from gatekeeper.flux.ownership import GROUP
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import Verdict, at


def reconciled(round_: Round, asked: Asked) -> Done:
    """Applies a Kustomization, if the gate accepts it, and waits for what it waits for."""
    begun = begin(round_, asked)
    if not begun.checks:
        return begun.done
    return finish(round_, begun, readiness.unready(begun.there, begun.checks, begun.timeout, round_.stop))


def late(round_: Round, asked: Asked) -> str:
    """Which dependency is not ready by the expression about it, and why; empty where all are, or none has one."""
    for one in at(asked.kustomization, ("spec", "dependsOn")) or ():
        if not one.get("readyExpr"):
            continue
        kind = round_.cluster.newest(GROUP, VERSIONS, "Kustomization")
        name = (one.get("namespace") or asked.name[0], one["name"])
        own, other = (round_.cluster.get(kind, *each) if kind else None for each in (asked.name, name))
        try:
            reason = health_expressions.unready(one["readyExpr"], own, other)
        except SealError as error:
            reason = str(error)
        if reason:
            return f"dependency '{'/'.join(name)}' is not ready: {reason}"
    return ""


def begin(round_: Round, asked: Asked) -> Begun:
    """Applies a Kustomization, if the gate accepts it; what is waited for is left to do."""
    began, cluster = time.time(), round_.cluster
    if at(asked.kustomization, ("spec", "suspend")):
        return Begun(Done(asked, Outcome(True, "Suspended", "it is suspended: nothing is done")), cluster, None, ())
    refused = refusal(round_.verdict, asked)
    live = _live(cluster, asked)
    before = inventory.read(live)

    def ended(done: Done, held: Sequence[Entry] = before) -> Begun:
        return Begun(status_writer.told(round_, live, done, held, began), cluster, live, held)

    if refused is not None:
        return ended(Done(asked, refused))
    try:
        wanted = kustomization_spec.read(asked.kustomization)
        kustomization_spec.complete(asked.objects, asked.kustomization)
        objects = ownership.owned(_opened(round_, asked), asked.kustomization)
        there = target_cluster.there(cluster, asked.name[0], wanted)
    except (FieldError, SealError, ToolError) as error:
        return ended(Done(asked, Outcome(False, "BuildFailed", str(error))))
    prunes = bool(at(asked.kustomization, ("spec", "prune")))
    leaving = inventory.backwards(inventory.gone(before, objects)) if prunes else []
    gone = server_side_apply.to_go(there, leaving, partial(ownership.keep, asked.kustomization))
    held = _held(round_, asked, gone, len(before))
    if held and not objects:
        # An empty render is no wish.
        return ended(Done(asked, Outcome(False, "PruneHeld", held), (), gone))
    if not round_.is_written:
        changes = server_side_apply.planned(there, order.stages(objects), _how(asked, wanted))
        done = Done(asked, _outcome(changes, gone, held, round_.revision), changes, gone)
        return Begun(done, there, live, before)
    try:
        live = _noted(round_, live, before, objects)
        done, taken = _written(round_, there, asked, objects, gone, held, _how(asked, wanted))
    except ToolError as error:
        reason = Outcome(False, "StatusFailed", f"nothing is applied that cannot be noted: {error}")
        return Begun(Done(asked, reason), there, live, before)
    now = status.kept(before, done.changes, taken)
    checks = readiness.targets(wanted, done.changes) if done.outcome.is_ready else []
    if not checks:
        return ended(done, now)
    return Begun(done, there, live, now, checks, wanted.timeout, began)


def _written(
    round_: Round,
    there: Objects,
    asked: Asked,
    objects: Sequence[Object],
    gone: Sequence[Gone],
    held: str,
    how: server_side_apply.How,
) -> tuple[Done, list[Gone] | None]:
    """Applies, and takes away; each step is noted before it is taken.

    Raises:
        Refusal: it cannot be noted.
    """

    def note(changes: Sequence[Change]) -> None:
        round_.act("apply", Done(asked, Outcome(False, "Applying", round_.revision), changes))

    changes = server_side_apply.applied(there, order.stages(objects), how, note)
    failed = any(change.action == "failed" for change in changes)
    # Nothing is taken away while something did not come; and with `prune: false` it is nobody's any more.
    if failed or held:
        return Done(asked, _outcome(changes, (), held, round_.revision), changes), None
    if any(one.action == "delete" for one in gone):
        round_.act("delete", Done(asked, Outcome(False, "Pruning", round_.revision), (), gone))
    taken = server_side_apply.taken(there, gone, partial(ownership.keep, asked.kustomization))
    return Done(asked, _outcome(changes, taken, held, round_.revision), changes, taken), taken


def _how(asked: Asked, wanted: Wanted) -> server_side_apply.How:
    return partial(ownership.manner, bool(at(asked.kustomization, ("spec", "force"))), wanted.ignored)


def finish(round_: Round, begun: Begun, reason: str) -> Done:
    """Tells of a Kustomization that was waited for.

    Args:
        reason: why it is not there; empty where it is.
    """
    done = begun.done
    if reason:
        done = done._replace(outcome=Outcome(False, "HealthCheckFailed", reason))
    # What was written meanwhile, by whomever, is not written over.
    live = _live(round_.cluster, done.asked)
    return status_writer.told(round_, live, done, begun.held, begun.began, is_healthy=not reason)


def _opened(round_: Round, asked: Asked) -> list[Object]:
    """What is applied, in the clear; by the keys of the Secret that the Kustomization names.

    Raises:
        SealError: something is encrypted and cannot be opened.
    """
    sealed = [one for one in asked.objects if decryption.is_sealed(one)]
    if not sealed:
        return list(asked.objects)
    name = at(asked.kustomization, ("spec", "decryption", "secretRef", "name"))
    if not isinstance(name, str):
        entry = inventory.entry_of(sealed[0])
        raise SealError(f"{entry} is encrypted with SOPS: name the keys in `spec.decryption.secretRef`")
    held = secret_values.secret(round_.cluster, asked.name[0], name)
    if held is None:
        raise SealError(f"the Secret {asked.name[0]}/{name} to decrypt with is not there")
    return decryption.opened(asked.objects, decryption.keys_of(held))


def _noted(round_: Round, live: Object | None, before: Sequence[Entry], objects: Sequence[Object]) -> Object | None:
    """Notes what will be applied before it is: whoever is ended in between leaves nothing that nobody knows of."""
    known = {entry.id for entry in before}
    new = [entry for entry in map(inventory.entry_of, objects) if entry.id not in known]
    kind = round_.cluster.kind(live["apiVersion"], "Kustomization") if live is not None else None
    if live is None or kind is None or not new:
        return live
    return round_.cluster.patch_status(kind, live, {"inventory": status.inventory_of([*before, *new])})


def _held(round_: Round, asked: Asked, gone: Sequence[Gone], before: int) -> str:
    """Why what would go waits; empty where it may."""
    if round_.approved == round_.revision:
        return ""
    leaving = [one.entry for one in gone if one.action == "delete"]
    reason = prune_budget.excess(leaving, before, not asked.objects, round_.budget)
    return f"{reason}; approve it with --approve {round_.revision}" if reason else ""


def refusal(verdict: Verdict, asked: Asked) -> Outcome | None:
    """Why nothing of a Kustomization is applied: the gate refuses it, or could not judge; None where it may be."""
    if asked.lost:
        return Outcome(False, "BuildFailed", asked.lost)
    return gate_refusal.refusal(verdict, asked.objects, [asked.folder])


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
