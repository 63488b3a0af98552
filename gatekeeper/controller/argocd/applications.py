"""Applications in a cluster: held against Git, synced when that is due, and told of in their status."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Any

from gatekeeper.apply.inventory import Entry, entry_of
from gatekeeper.argocd import application_spec, permissions, resource_tracking, status
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.model import Item
from gatekeeper.argocd.sync import comparison, sync_options
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.cluster.reflector import Name
from gatekeeper.controller.argocd import delete_hooks, finalizer, operation_runner, status_writer, sync_plan
from gatekeeper.controller.argocd.context import Case, Place
from gatekeeper.controller.argocd.source_cache import REFRESH, Key, Origins, key_of
from gatekeeper.controller.runtime.telemetry import say
from gatekeeper.errors import SealError, ToolError
from gatekeeper.kube.decoder import FieldError
from gatekeeper.kube.labels import labels_of
from gatekeeper.model import at

SKIP = "argocd.argoproj.io/skip-reconcile"
# How often all is compared although nothing was heard of; and where nothing can be heard of.
RESYNC, ELSEWHERE = 600.0, 180.0
# What cannot be compared may be mended by what nobody here hears of.
SOON = 60.0
JITTER = 0.1


class Applications:
    """What is known of all Applications.

    Args:
        dirty: is told of sources that must be asked, or rendered from anew.
        follow: is told what an Application is made of.
        known: what is marked as an Application's in the cluster.
    """

    def __init__(
        self,
        place: Place,
        get: Callable[[Name], Object | None],
        project: Callable[[Name], Object | None],
        origins: Origins,
        dirty: Callable[[Key], None],
        follow: Callable[[Iterable[Entry]], None],
        known: Callable[[str], list[Entry]],
    ) -> None:
        self._place, self._get, self._project, self._origins = place, get, project, origins
        self._dirty, self._follow, self._known = dirty, follow, known
        self._items: dict[Name, tuple[object, list[Item], float]] = {}
        self._drifted: set[Name] = set()
        self._refreshing: dict[Name, float] = {}
        self._syncs = operation_runner.Syncs()
        self._said: dict[Name, object] = {}

    def drifted(self, name: Name) -> None:
        """Somebody has changed what an Application has applied."""
        self._drifted.add(name)

    def work(self, name: Name) -> float | None:
        """Does with an Application what is to be done now.

        Raises:
            GateError: the cluster does not do it.
        """
        kept = self._get(name)
        kind = self._place.cluster.newest(application_spec.GROUP, application_spec.VERSIONS, "Application")
        value = self._place.cluster.get(kind, *name) if kept is not None and kind is not None else None
        if value is None:
            self._forget(name)
            return None
        if labels_of(value, "annotations").get(SKIP) == "true":
            return None
        if at(value, ("metadata", "deletionTimestamp")):
            return self._leaving(name, value)
        ready = self._ready(name, value)
        return self._worked(*ready) if isinstance(ready, tuple) else ready

    def _leaving(self, name: Name, value: Object) -> float | None:
        """Goes on with the end of an Application; what hooks it has is known by what it renders."""
        if not delete_hooks.is_wanted(at(value, ("metadata", "finalizers")) or ()):
            self._forget(name)
            return finalizer.deleted(self._place, value, self._project, self._known, None)
        ready = self._ready(name, value)
        if not isinstance(ready, tuple):
            return ready
        return finalizer.deleted(self._place, value, self._project, self._known, ready[0])

    def _ready(self, name: Name, value: Object) -> tuple[Case, object] | float | None:
        """An Application with all that counts for it, and what it was rendered from; or when it is looked at again."""
        try:
            application, key = self._read(value)
        except (FieldError, SealError) as error:
            return self._told(value, {"InvalidSpecError": str(error)})
        state = self._origins.states.get(key)
        is_fresh = self._is_fresh(name, key, value)
        if state is not None and state.fault and is_fresh:
            return self._told(value, {"ComparisonError": state.fault})
        of = self._origins.of(key, value) if state is not None else None
        if not is_fresh or state is None or self._origins.is_stale(name, of):
            self._dirty(key)
            return None
        try:
            case = self._case(value, application)
        except (FieldError, SealError, ToolError) as error:
            return self._told(value, {"ComparisonError": str(error)})
        return case, [of, value["spec"]]

    def _forget(self, name: Name) -> None:
        for held in (self._items, self._origins.built, self._refreshing, self._said):
            held.pop(name, None)
        self._syncs.forget(name)

    def _is_fresh(self, name: Name, key: Key, value: Object) -> bool:
        """Whether its sources were asked since somebody wanted them to be."""
        wish = labels_of(value, "annotations").get(REFRESH)
        if wish is None:
            self._refreshing.pop(name, None)
            return True
        if name not in self._refreshing:
            self._refreshing[name] = time.monotonic()
            if wish == "hard":
                self._origins.built.pop(name, None)
            self._dirty(key)
        return self._origins.looked.get(key, 0.0) > self._refreshing[name]

    def _read(self, value: Object) -> tuple[Application, Key]:
        application = application_spec.read(value)
        return application, key_of(application)

    def _case(self, value: Object, application: Application) -> Case:
        """All that counts for an Application.

        Raises:
            FieldError, SealError: something is not valid, or not permitted.
            ToolError: the cluster does not tell.
        """
        cluster, home = self._place.cluster, self._place.home
        let = permissions.permit(cluster, home, application, self._project((home, application.project)))
        built = self._origins.built[application.key]
        asked = built.asked(value, application)
        if asked.lost:
            raise SealError(asked.lost)
        mark, app = self._place.mark, resource_tracking.instance(application, home)
        plain, hooks = comparison.prepared(asked, let.there, let.project, mark, app)
        general = sync_options.read(application.options, "the Application")
        return Case(
            self._place, value, application, let.there, mark, app, general, let.windows, asked,
            built.verdict, plain, status.hooks(hooks),
        )  # fmt: skip

    def _worked(self, case: Case, of: object) -> float | None:
        name = case.name
        held = self._items.get(name)
        is_drifted = name in self._drifted
        self._drifted.discard(name)
        is_late = held is None or time.monotonic() > held[2]
        is_running = self._syncs.is_running(case.value)
        is_asked = not self._syncs.has_plan(name) if is_running else bool(case.value.get("operation"))
        try:
            if held is None or held[0] != of or is_drifted or is_late or is_asked or name in self._refreshing:
                items = self._compared(case)
                self._items[name] = of, items, time.monotonic() + _resync(case)
            else:
                items = comparison.refreshed(case.there.cluster, held[1], case.mark.scripts)
                self._items[name] = held[0], items, held[2]
            if case.there.is_here:
                self._follow(one.entry for one in items)
            case, after = self._syncs.gone_on(case, items)
        except (SealError, FieldError) as error:
            return self._told(case.value, {"ComparisonError": str(error)})
        if after.is_done:
            items = self._after(case, items, after)
            self._items[name] = of, items, time.monotonic() + _resync(case)
        self._tell(case, items, after)
        soon = self._items[name][2] - time.monotonic()
        return min(soon, after.seconds) if after.seconds is not None else soon

    def _after(self, case: Case, items: list[Item], after: operation_runner.After) -> list[Item]:
        """What there is after a sync: after one that failed all is compared."""
        state = after.status["operationState"]
        if state["phase"] != "Succeeded" or not after.is_current:
            return self._compared(case)
        return comparison.settled(case.there.cluster, items, status.results(state), case.mark.scripts)

    def _compared(self, case: Case) -> list[Item]:
        before = comparison.before(case.value, self._known(case.app) if case.there.is_here else ())
        method = comparison.how(case.asked, case.general)
        space = sync_plan.space(case)
        wanted = [*case.plain, *space]
        items = comparison.compared(case.there, wanted, before, method, case.mark, case.app)
        own = {one["metadata"]["name"] for one in space}
        return [one for one in items if not (one.entry.kind == "Namespace" and one.entry.name in own)]

    def _tell(self, case: Case, items: list[Item], after: operation_runner.After) -> None:
        """Writes what there is of an Application, if that is another than before."""
        hooks = [(entry_of(one), one) for one in case.hooks if one["metadata"].get("name")]
        now = status.compared(case.asked, items, hooks)
        value, moment = case.value, time.time()
        state = now["health"]["status"]
        if at(value, ("status", "health", "status")) != state:
            self._place.figures.health.labels(state).inc()
        # Also where nothing is to be done: what is there would not be let in any more.
        refused = sync_plan.refusal(case)
        own = {**({"Refused": refused} if refused else {}), **after.conditions}
        now |= {"conditions": status.conditions(value, own, moment), **after.status}
        now["controllerNamespace"] = self._place.home
        wish = REFRESH if case.name in self._refreshing else ""
        status_writer.write(self._place.cluster, value, now, moment, wish, delete_hooks.finalizers(case))
        self._refreshing.pop(case.name, None)
        self._say(case.name, (now["sync"]["status"], state, *own.values()), own)

    def _told(self, value: Object, conditions: dict[str, str]) -> float | None:
        """Says why an Application is not compared, if that is not said already."""
        moment, name = time.time(), (value["metadata"]["namespace"], value["metadata"]["name"])
        now: dict[str, Any] = status.unknown(value)
        now["conditions"] = status.conditions(value, conditions, moment)
        state = at(value, ("status", "operationState")) or {}
        if value.get("operation") and state.get("phase") not in ("Running", "Terminating"):
            now["operationState"] = status_writer.lost(value, next(iter(conditions.values())), moment)
        status_writer.write(self._place.cluster, value, now, moment, REFRESH if name in self._refreshing else "")
        self._refreshing.pop(name, None)
        self._say(name, tuple(conditions.values()), conditions)
        return SOON * random.uniform(1 - JITTER, 1 + JITTER)

    def _say(self, name: Name, what: object, conditions: dict[str, str]) -> None:
        """Says once what came of an Application."""
        if self._said.get(name) == what:
            return
        self._said[name] = what
        words = "; ".join(conditions.values()) or ", ".join(map(str, what if isinstance(what, tuple) else ()))
        say("error" if conditions else "info", words, controller="Application", object="/".join(name),
            reason=next(iter(conditions), "Compared"))  # fmt: skip


def _resync(case: Case) -> float:
    return (RESYNC if case.there.is_here else ELSEWHERE) * random.uniform(1 - JITTER, 1 + JITTER)
