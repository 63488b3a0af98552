"""Argo CD's resources in a cluster, and what follows when one of them, or something that was applied, changes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gatekeeper.apply.inventory import Entry
from gatekeeper.apply.model import Act
from gatekeeper.apply.prune_budget import Budget
from gatekeeper.argocd import app_project, application_spec, resource_tracking
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.health import lua_client
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.cluster.reflector import Name, Reflector
from gatekeeper.controller.argocd import git_webhook
from gatekeeper.controller.argocd.applications import Applications
from gatekeeper.controller.argocd.context import Place
from gatekeeper.controller.argocd.source_cache import Key, Origins, key_of
from gatekeeper.controller.flux.controller import fenced
from gatekeeper.controller.runtime.component import Crew, lost
from gatekeeper.controller.runtime.drift_watch import Owned, Seen, seen_of
from gatekeeper.controller.runtime.http_server import Answer, Request
from gatekeeper.controller.runtime.predicates import slim
from gatekeeper.controller.runtime.telemetry import Figures
from gatekeeper.controller.runtime.worker import Loop
from gatekeeper.errors import ToolError
from gatekeeper.flux import source
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import at
from gatekeeper.repositories.provenance import Credit

SOURCES = 4
# What changes often is looked at no more often than so: seconds.
SOON = 0.2
# How often a repository is asked, and by how much that is spread.
INTERVAL, JITTER = 120.0, 0.2


class Options(NamedTuple):
    """How Argo CD's resources are followed.

    Attributes:
        home: the namespace of Argo CD's own objects.
        workers: so many Applications at a time.
        config_file: judge by this instead of each repository's own; None for its own.
        storage: where commits are kept; None for the user's folder.
    """

    budget: Budget
    home: str = application_spec.HOME
    selector: str = ""
    workers: int = 8
    config_file: Path | None = None
    storage: Path | None = None


class Argo(Crew):
    """Applications, from the first look at them on.

    Args:
        is_mine: whether this replica follows something, by its name.
        note: see `Round.note`.

    Raises:
        ToolError: the cluster knows no Applications, or does not tell how it marks what belongs to them; or the
            program that says how well objects are is not built.
    """

    def __init__(
        self,
        cluster: Objects,
        options: Options,
        is_mine: Callable[[str], bool],
        note: Callable[[Act], None],
        figures: Figures,
    ) -> None:
        self._cluster, self._figures, self._home = cluster, figures, options.home
        kinds = [
            cluster.newest(application_spec.GROUP, application_spec.VERSIONS, name)
            for name in ("Application", "AppProject")
        ]
        if kinds[0] is None or kinds[1] is None:
            raise ToolError(
                f"the cluster knows no Application of {application_spec.GROUP}: install Argo CD's definitions"
            )
        self._mark = resource_tracking.read(cluster, options.home)
        lua_client.there()
        self._applications = Reflector(
            cluster, kinds[0], _kept, self._application, options.selector, fault=self._fault("Application")
        )
        self._projects = Reflector(
            cluster, kinds[1], slim, self._project, fault=self._fault("AppProject"), namespace=options.home
        )

        def mine(name: Name) -> bool:
            value = self._applications.get(name)
            key = _key(value) if value is not None else None
            return is_mine(str(key) if key is not None else "/".join(name))

        self.sources = Loop[Key]("Repository", self._look, SOURCES, figures, lambda key: is_mine(str(key)))
        self.applying = Loop[Name]("Application", self._apply, options.workers, figures, mine)
        storage = options.storage or source.kept()
        self.origins = Origins(
            cluster, options.home, self._of, self._signers, self.applying.add, figures, options.config_file, storage
        )
        self.owned = Owned(cluster, self._drifted, self._touched, partial(lost, figures), self._seen, self._selector())
        place = Place(cluster, options.home, self._mark, options.budget, fenced(note, mine), figures)
        self._work = Applications(
            place, self._applications.get, self._projects.get, self.origins, self.sources.add, self._follow, self._known
        )
        super().__init__([self._projects, self._applications], [self.sources, self.applying], figures, self.owned)

    def all(self) -> None:
        """Looks at everything: what was another's may be ours now."""
        for name, value in self._applications.all():
            self.applying.add(name)
            key = _key(value)
            if key is not None:
                self.sources.add(key)

    def credit_of(self, name: Name) -> Credit:
        """Whom the commit that an Application is applied from is owed to."""
        value = self._applications.get(name)
        key = _key(value) if value is not None else None
        state = self.origins.states.get(key) if key is not None else None
        return state.credit if state is not None else Credit()

    def hook(self, request: Request) -> Answer | None:
        """A Git host says that there is something new, to the address that it knows of Argo CD."""
        if request.path != git_webhook.PATH:
            return None
        if request.method != "POST":
            return Answer(405, b"POST is what a host sends\n")
        urls = git_webhook.called(self._cluster, self._home, request)
        if urls is None:
            return Answer(404, b"nobody vouches for this\n")
        for _, value in self._applications.all():
            key = _key(value)
            if key is not None and any(application_spec.same(held[0], one) for held in key.origin for one in urls):
                self.sources.add(key)
        return Answer(200, b"")

    def _look(self, key: Key) -> float | None:
        return INTERVAL * random.uniform(1, 1 + JITTER) if self.origins.work(key) else None

    def _apply(self, name: Name) -> float | None:
        if not self._projects.is_synced.is_set():
            # Without its project nothing is permitted yet.
            return SOON
        return self._work.work(name)

    def _of(self, key: Key) -> list[tuple[Object, Application]]:
        found = []
        for _, value in self._applications.all():
            if _key(value) == key:
                own = {name: held for name, held in value.items() if name not in ("key", "status")}
                found.append((own, application_spec.read(own)))
        return found

    def _signers(self, project: str) -> tuple[str, ...]:
        held = self._projects.get((self._home, project))
        return app_project.signers(held) if held is not None else ()

    def _application(self, name: Name, before: Object | None, now: Object | None) -> None:
        if _asks(before) != _asks(now):
            self.applying.add(name)

    def _project(self, name: Name, before: Object | None, now: Object | None) -> None:
        if before is not None and now is not None and before.get("spec") == now.get("spec"):
            return
        for other, value in self._applications.all():
            if (at(value, ("spec", "project")) or "default") == name[1]:
                self._work.drifted(other)
                self.applying.add(other)

    def _selector(self) -> str:
        return "" if self._mark.method != "label" else self._mark.label

    def _seen(self, value: Object) -> Seen | None:
        app = resource_tracking.owner(self._mark, value)
        return seen_of(_application_of(app, self._home), value) if app else None

    def _follow(self, entries: Iterable[Entry]) -> None:
        self.owned.follow(entries)

    def _known(self, app: str) -> list[Entry]:
        found = []
        for (group, kind), (namespace, name) in self.owned.of(_application_of(app, self._home)):
            served = self.owned.version(group, kind)
            found.append(Entry(namespace, name, group, kind, served))
        return found

    def _drifted(self, name: Name) -> None:
        self._work.drifted(name)
        self.applying.add(name)

    def _touched(self, name: Name) -> None:
        self.applying.add(name, SOON)

    def _fault(self, kind: str) -> Callable[[str], None]:
        return partial(lost, self._figures, kind)


def _key(kept: Object) -> Key | None:
    """From what an Application that is kept is rendered; None where it is not valid."""
    found: Key | None = kept["key"]
    return found


def _key_of(value: Object) -> Key | None:
    try:
        return key_of(application_spec.read(value))
    except (FieldError, KeyError, TypeError):
        return None


def _application_of(app: str, home: str) -> Name:
    """The Application that a mark names: that of another namespace begins with it."""
    namespace, sign, name = app.partition("_")
    return (namespace, name) if sign else (home, app)


def _kept(value: Object) -> Object:
    """What of an Application is kept: not what there is of it, of which there is much."""
    metadata = {key: held for key, held in value["metadata"].items() if key != "managedFields"}
    phase = at(value, ("status", "operationState", "phase"))
    few: Object = {"key": _key_of(value)}
    few |= {key: value[key] for key in ("apiVersion", "kind", "spec", "operation") if key in value}
    return {**few, "metadata": metadata, "status": {"operationState": {"phase": phase}}}


def _asks(value: Object | None) -> object:
    """What of an Application asks for work when it is another; that it was synced does not, that it ends does."""
    metadata = (value or {}).get("metadata") or {}
    names = ("uid", "deletionTimestamp", "annotations", "labels")
    is_ending = at(value, ("status", "operationState", "phase")) == "Terminating"
    own = (value or {}).get("spec"), (value or {}).get("operation"), is_ending
    return value is None, own, [metadata.get(name) for name in names]
