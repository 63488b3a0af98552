"""What is told of a Kustomization in the cluster: written into its status, and as events."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gatekeeper.apply.inventory import Entry
from gatekeeper.apply.model import Done, Outcome, Round
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.errors import ToolError
from gatekeeper.flux import status as flux_status
from gatekeeper.flux import substitution
from gatekeeper.flux.model import Begun
from gatekeeper.flux.ownership import GROUP
from gatekeeper.kube import conditions
from gatekeeper.kube.conditions import Told


def progress(round_: Round, begun: Begun) -> None:
    """Says in the cluster that a Kustomization is waited for."""
    if begun.live is None:
        return
    status = flux_status.progressing(begun.live, begun.held, round_.revision, begun.checks, time.time())
    kind = round_.cluster.kind(begun.live["apiVersion"], "Kustomization")
    if kind is not None:
        round_.cluster.patch_status(kind, begun.live, status)


def told(
    round_: Round, live: Object | None, done: Done, held: Sequence[Entry], began: float, is_healthy: bool | None = None
) -> Done:
    """Writes the status of a Kustomization that is in the cluster; what was applied is noted whatever came of it."""
    if done.asked.secret:
        done = _masked(done)
    if live is None or not round_.is_written:
        return done
    cluster, now = round_.cluster, time.time()
    kind, events = cluster.kind(live["apiVersion"], "Kustomization"), cluster.kind("v1", "Event")
    moment = flux_status.Moment(round_.revision, began, now, is_healthy)
    status = flux_status.status_of(live, done.outcome, held, moment)
    told = flux_status.events_of(live, done.outcome, round_.revision, done.changes, now)
    try:
        round_.act("done", done)
        if kind is not None:
            cluster.patch_status(kind, live, status)
        if events is not None:
            for event in told:
                cluster.create(events, event)
    except ToolError as error:
        return done._replace(outcome=Outcome(False, "StatusFailed", str(error)))
    return done


def tell(cluster: Objects, value: Object, outcome: Outcome, revision: str) -> None:
    """Says in the cluster why a Kustomization is not applied; what it has applied stays noted.

    Raises:
        ToolError: the cluster does not take it.
    """
    kind, events = cluster.kind(value["apiVersion"], "Kustomization"), cluster.kind("v1", "Event")
    live = cluster.get(kind, value["metadata"]["namespace"], value["metadata"]["name"]) if kind else None
    if kind is None or live is None:
        return
    now = time.time()
    cluster.patch_status(kind, live, flux_status.refusal_of(live, outcome, revision, now))
    for event in flux_status.events_of(live, outcome, revision, (), now) if events else ():
        assert events is not None
        cluster.create(events, event)


def drifted(cluster: Objects, value: Object, message: str, revision: str) -> None:
    """Says in the cluster what somebody has changed, where that is not put right.

    Raises:
        ToolError: the cluster does not take it.
    """
    events = cluster.kind("v1", "Event")
    if events is not None:
        told_ = Told("Warning", "DriftDetected", message)
        cluster.create(events, conditions.event(told_, value, time.time(), {f"{GROUP}/revision": revision}))


def _masked(done: Done) -> Done:
    """What is told, without what came out of Secrets; the cluster repeats values that it does not take."""
    hide = done.asked.secret
    outcome = done.outcome._replace(message=substitution.masked(done.outcome.message, hide))
    changes = [one._replace(reason=substitution.masked(one.reason, hide)) for one in done.changes]
    return done._replace(outcome=outcome, changes=changes)
