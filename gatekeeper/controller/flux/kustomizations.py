"""Kustomizations in a cluster: applied when they are due, waited for without holding anybody up, and taken away."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from gatekeeper.apply.inventory import Entry
from gatekeeper.apply.model import Act, Asked, Done, Outcome, Round
from gatekeeper.apply.prune_budget import Budget
from gatekeeper.apply.server_side_apply import Gone
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.cluster.reflector import Name
from gatekeeper.controller.flux.git_repositories import Sources
from gatekeeper.controller.runtime.telemetry import Figures, say
from gatekeeper.flux import finalizer, health_expressions, readiness, reconciler, status_writer
from gatekeeper.flux import status as flux_status
from gatekeeper.flux.model import Begun
from gatekeeper.kube import conditions
from gatekeeper.kube.decoder import FieldError, Fields
from gatekeeper.model import at

MINUTE, DEPENDENCY = 60.0, 30.0
JITTER = 0.05
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
# The revision for which somebody lets more be deleted than the budget does.
APPROVED = "gatekeeper-gitops.io/approved-revision"
# What becomes of what somebody else has changed: it is healed, or with this word told only.
DRIFT, REPORT = "gatekeeper-gitops.io/drift", "report"


class Waiting(NamedTuple):
    """A Kustomization that is applied, and waited for.

    Attributes:
        of: what it was rendered from: what is new ends the waiting.
        until: of the monotonic clock.
        pause: seconds until the next look, where nothing happens before.
    """

    begun: Begun
    of: object
    until: float
    pause: float


class Kustomizations:
    """What is known of all Kustomizations.

    Args:
        dirty: is told of a source of which something must be rendered anew.
        follow: is told what was applied.
        note: see `Round.note`.
    """

    def __init__(
        self,
        cluster: Objects,
        get: Callable[[Name], Object | None],
        sources: Sources,
        has_source: Callable[[Name], bool],
        dirty: Callable[[Name], None],
        follow: Callable[[list[Entry]], None],
        note: Callable[[Act], None],
        budget: Budget,
        figures: Figures,
    ) -> None:
        self._cluster, self._get, self._sources, self._has_source = cluster, get, sources, has_source
        self._dirty, self._follow, self._note, self._budget = dirty, follow, note, budget
        self._figures = figures
        self._waiting: dict[Name, Waiting] = {}
        self._drifted: set[Name] = set()
        self._said: dict[Name, Outcome] = {}
        self._reports: dict[Name, str] = {}
        self._stop = threading.Event()

    def is_waiting(self, name: Name) -> bool:
        """Whether it is waited for what a Kustomization has applied."""
        return name in self._waiting

    def drifted(self, name: Name) -> None:
        """Somebody else has changed what a Kustomization has applied: it is applied again, waited for or not."""
        self._drifted.add(name)

    def work(self, name: Name) -> float | None:
        """Does with a Kustomization what is to be done now.

        Raises:
            GateError: the cluster does not do it.
        """
        value = self._get(name)
        if value is None:
            self._waiting.pop(name, None)
            self._sources.built.pop(name, None)
            self._said.pop(name, None)
            self._reports.pop(name, None)
            return None
        if at(value, ("metadata", "deletionTimestamp")):
            return finalizer.deleted(self._cluster, value, partial(self._leaving, value))
        if at(value, ("spec", "suspend")):
            self._waiting.pop(name, None)
            return None
        source = source_of(value)
        if source is None:
            message = f"sources of kind {at(value, ('spec', 'sourceRef', 'kind'))} are not supported"
            return self._told(value, Outcome(False, "ArtifactFailed", message), None)
        if source not in self._sources.states:
            if self._has_source(source):
                # Its source will say when there is something.
                return None
            message = f"GitRepository {'/'.join(source)} not found"
            return self._told(value, Outcome(False, "ArtifactFailed", message), _seconds(value, "retryInterval"))
        of = self._sources.of(source, value)
        if self._sources.is_stale(name, of):
            self._dirty(source)
            return None
        waiting_ = self._waiting.get(name)
        if waiting_ is not None and waiting_.of != of:
            waiting_ = None
        if waiting_ is not None and name not in self._drifted:
            return self._looked(name, value, waiting_)
        # What somebody has changed meanwhile would never come by waiting; the time for it stays the same.
        self._drifted.discard(name)
        self._waiting.pop(name, None)
        return self._applied(name, value, source, of, waiting_.until if waiting_ is not None else None)

    def _leaving(self, value: Object, gone: list[Gone]) -> None:
        outcome = Outcome(False, "Pruning", "the Kustomization is deleted")
        self._note(Act("delete", Done(Asked(value, "", ()), outcome, (), gone)))

    def _round(self, name: Name, value: Object, source: Name) -> Round:
        state, built = self._sources.states[source], self._sources.built[name]
        approved = str(at(value, ("metadata", "annotations", APPROVED)) or "")
        return Round(
            self._cluster, built.verdict, str(state.revision), self._budget, approved, True, self._stop, self._note
        )

    def _applied(self, name: Name, value: Object, source: Name, of: object, until: float | None) -> float | None:
        round_ = self._round(name, value, source)
        late = self._dependency(value, source, round_.revision)
        if late:
            return self._told(value, Outcome(False, "DependencyNotReady", late), DEPENDENCY, round_.revision)
        finalizer.hold(self._cluster, value)
        if at(value, ("metadata", "annotations", DRIFT)) == REPORT and _is_at(value, round_.revision):
            return self._reported(name, value, round_)
        begun = reconciler.begin(round_, self._sources.built[name].asked)
        self._follow(list(begun.held))
        for change in begun.done.changes:
            if change.action == "configure" and at(value, ("status", "lastAppliedRevision")) == round_.revision:
                self._figures.drift.labels(change.value["kind"]).inc()
        if not begun.checks:
            return self._ended(value, begun.done)
        look = readiness.looked(begun.there, begun.checks)
        if look.failed or not look.left:
            return self._ended(value, reconciler.finish(round_, begun, look.failed))
        status_writer.progress(round_, begun)
        begun = begun._replace(checks=look.left)
        end = until if until is not None else time.monotonic() + begun.timeout
        self._waiting[name] = Waiting(begun, of, end, FIRST_PAUSE)
        return FIRST_PAUSE

    def _reported(self, name: Name, value: Object, round_: Round) -> float:
        """Tells what differs, and changes nothing."""
        begun = reconciler.begin(round_._replace(is_written=False), self._sources.built[name].asked)
        self._follow(list(begun.held))
        lines = flux_status.drift_of(begun.done.changes)
        message = "; ".join(lines)
        if self._reports.get(name, "") != message:
            self._reports[name] = message
            if lines:
                say("warning", message, controller="Kustomization", object="/".join(name), reason="DriftDetected")
                status_writer.drifted(self._cluster, value, message, round_.revision)
        return _seconds(value, "interval")

    def _looked(self, name: Name, value: Object, waiting_: Waiting) -> float | None:
        begun = waiting_.begun
        look = readiness.looked(begun.there, begun.checks)
        reason = look.failed
        if look.left and not look.failed:
            if time.monotonic() < waiting_.until:
                pause = min(LONGEST_PAUSE, waiting_.pause * 1.5)
                self._waiting[name] = waiting_._replace(begun=begun._replace(checks=look.left), pause=pause)
                return waiting_.pause
            reason = readiness.late(look, begun.timeout)
        self._waiting.pop(name, None)
        source = source_of(value)
        assert source is not None
        return self._ended(value, reconciler.finish(self._round(name, value, source), begun, reason))

    def _ended(self, value: Object, done: Done) -> float:
        name, came = done.asked.name, done.outcome
        # What is tried again and again is said once.
        if self._said.get(name) != came:
            self._said[name] = came
            say("info" if came.is_ready else "error", came.message, controller="Kustomization",
                object="/".join(name), reason=came.reason)  # fmt: skip
        return _seconds(value, "interval" if done.outcome.is_ready else "retryInterval")

    def _dependency(self, value: Object, source: Name, revision: str) -> str:
        """Which dependency is not ready, and why; empty where all are."""
        own = value["metadata"]["namespace"]
        for one in at(value, ("spec", "dependsOn")) or ():
            name = (one.get("namespace") or own, one["name"])
            other = self._get(name)
            if other is None:
                return f"dependency '{'/'.join(name)}' is not there"
            if one.get("readyExpr"):
                reason = health_expressions.unready(one["readyExpr"], value, other)
                if reason:
                    return f"dependency '{'/'.join(name)}' is not ready: {reason}"
                continue
            ready, generation = conditions.ready_of(other), at(other, ("metadata", "generation"))
            if ready.get("status") != "True" or ready.get("observedGeneration") != generation:
                return f"dependency '{'/'.join(name)}' is not ready"
            if source_of(other) == source and at(other, ("status", "lastAppliedRevision")) != revision:
                return f"dependency '{'/'.join(name)}' is not at revision {revision} yet"
        return ""

    def _told(self, value: Object, outcome: Outcome, after: float | None, revision: str = "") -> float | None:
        """Says why a Kustomization is not worked on, if that is not said already."""
        ready = conditions.ready_of(value)
        if (ready.get("reason"), ready.get("message")) != (outcome.reason, outcome.message):
            status_writer.tell(self._cluster, value, outcome, revision)
        return after


def source_of(value: Object) -> Name | None:
    """The GitRepository that a Kustomization names; None where it names another kind."""
    ref = at(value, ("spec", "sourceRef")) or {}
    if ref.get("kind") != "GitRepository":
        return None
    return ref.get("namespace") or value["metadata"]["namespace"], str(ref.get("name"))


def _is_at(value: Object, revision: str) -> bool:
    """Whether a Kustomization is as it was when this revision was applied."""
    ready, generation = conditions.ready_of(value), at(value, ("metadata", "generation"))
    is_applied = at(value, ("status", "lastAppliedRevision")) == revision
    return is_applied and ready.get("status") == "True" and ready.get("observedGeneration") == generation


def kept(value: Object) -> Object:
    """What of a Kustomization is kept: not what it has applied, of which there is much."""
    metadata = {key: held for key, held in value["metadata"].items() if key != "managedFields"}
    status = value.get("status") or {}
    few = {key: status[key] for key in ("conditions", "lastAppliedRevision", "lastHandledReconcileAt") if key in status}
    return {**value, "metadata": metadata, "status": few}


def _seconds(value: Object, name: str) -> float:
    fields = Fields(value["spec"])
    try:
        found = fields.seconds(name, 0.0) or fields.seconds("interval", MINUTE)
    except FieldError:
        found = MINUTE
    return found * random.uniform(1 - JITTER, 1 + JITTER)
