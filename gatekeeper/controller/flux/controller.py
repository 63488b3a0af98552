"""Flux's resources in a cluster, and what follows when one of them, or something that was applied, changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gatekeeper.apply.model import Act
from gatekeeper.apply.prune_budget import Budget
from gatekeeper.cluster.dynamic_client import Kind, Object, Objects
from gatekeeper.cluster.reflector import Name, Reflector
from gatekeeper.controller.flux import receivers
from gatekeeper.controller.flux.git_repositories import Sources
from gatekeeper.controller.flux.kustomizations import Kustomizations, kept, source_of
from gatekeeper.controller.runtime.component import Crew, lost
from gatekeeper.controller.runtime.drift_watch import Owned
from gatekeeper.controller.runtime.http_server import Answer, Request
from gatekeeper.controller.runtime.predicates import asks, slim
from gatekeeper.controller.runtime.telemetry import Figures
from gatekeeper.controller.runtime.worker import Loop
from gatekeeper.errors import ToolError
from gatekeeper.flux import source as flux_source
from gatekeeper.flux.model import VERSIONS
from gatekeeper.flux.ownership import GROUP
from gatekeeper.kube import conditions
from gatekeeper.model import at
from gatekeeper.repositories import git_repository_spec
from gatekeeper.repositories.provenance import Credit


class Options(NamedTuple):
    """How Flux's resources are followed.

    Attributes:
        selector: of labels that they must have.
        workers: so many Kustomizations at a time.
        config_file: judge by this instead of each repository's own; None for its own.
        storage: where commits are kept; None for the user's folder.
    """

    budget: Budget
    selector: str = ""
    workers: int = 8
    config_file: Path | None = None
    storage: Path | None = None


# So many sources at a time.
SOURCES = 4


class Flux(Crew):
    """GitRepositories and Kustomizations, from the first look at them on.

    Args:
        is_mine: whether this replica follows a source, by its name.
        note: see `Round.note`.

    Raises:
        ToolError: the cluster knows no Kustomizations.
    """

    def __init__(
        self,
        cluster: Objects,
        options: Options,
        is_mine: Callable[[str], bool],
        note: Callable[[Act], None],
        figures: Figures,
    ) -> None:
        self._cluster, self._figures = cluster, figures
        git = _served(cluster, git_repository_spec.GROUP, git_repository_spec.VERSIONS, "GitRepository")
        kustomization = _served(cluster, GROUP, VERSIONS, "Kustomization")
        self._git = Reflector(cluster, git, slim, self._source, options.selector, fault=self._fault("GitRepository"))
        self._kustomizations = Reflector(
            cluster, kustomization, kept, self._kustomization, options.selector, fault=self._fault("Kustomization")
        )
        self._dependents: dict[Name, set[Name]] = {}
        hook = cluster.newest(receivers.GROUP, receivers.VERSIONS, "Receiver")
        self._receivers = (
            Reflector(cluster, hook, slim, lambda *_: None, fault=self._fault("Receiver")) if hook else None
        )

        def mine(name: Name) -> bool:
            value = self._kustomizations.get(name)
            return is_mine("/".join((source_of(value) if value else None) or name))

        self.sources = Loop[Name]("GitRepository", self._pull, SOURCES, figures, lambda name: is_mine("/".join(name)))
        self.applying = Loop[Name]("Kustomization", self._apply, options.workers, figures, mine)
        self.state = Sources(
            cluster,
            self._git.get,
            self._of,
            self.applying.add,
            self._includers,
            figures,
            options.config_file,
            options.storage or flux_source.kept(),
        )
        self.owned = Owned(cluster, self._drifted, self._touched, partial(lost, figures))
        self._work = Kustomizations(
            cluster, self._kustomizations.get, self.state, lambda name: self._git.get(name) is not None,
            self.sources.add, self.owned.follow, fenced(note, mine), options.budget, figures,
        )  # fmt: skip
        hooks = [self._receivers] if self._receivers else []
        super().__init__([self._git, self._kustomizations, *hooks], [self.sources, self.applying], figures, self.owned)

    def all(self) -> None:
        """Looks at everything: what was another's may be ours now."""
        for name, _ in self._git.all():
            self.sources.add(name)
        for name, _ in self._kustomizations.all():
            self.applying.add(name)

    def credit_of(self, name: Name) -> Credit:
        """Whom the commit that a Kustomization is applied from is owed to."""
        value = self._kustomizations.get(name)
        source = source_of(value) if value is not None else None
        state = self.state.states.get(source) if source is not None else None
        return state.credit if state is not None else Credit()

    def hook(self, request: Request) -> Answer | None:
        """A Git host says that there is something new."""
        if not request.path.startswith(receivers.PREFIX):
            return None
        if request.method != "POST":
            return Answer(405, b"POST is what a host sends\n")
        known = self._receivers.all() if self._receivers else []
        named = receivers.called(self._cluster, known, request.path, request.headers, request.body)
        if named is None:
            return Answer(404, b"no Receiver is called so\n")
        for name in named:
            self.sources.add(name)
        return Answer(200, b"")

    def _pull(self, name: Name) -> float | None:
        return self.state.work(name)

    def _apply(self, name: Name) -> float | None:
        return self._work.work(name)

    def _of(self, source: Name) -> list[Object]:
        return [value for _, value in self._kustomizations.all() if source_of(value) == source]

    def _includers(self, name: Name) -> None:
        """What includes a source that has another commit is another, too."""
        for other, value in self._git.all():
            held = at(value, ("spec", "include")) or ()
            if other[0] == name[0] and any(at(one, ("repository", "name")) == name[1] for one in held):
                self.sources.add(other)

    def _source(self, name: Name, before: Object | None, now: Object | None) -> None:
        if asks(before) != asks(now):
            self.sources.add(name)

    def _kustomization(self, name: Name, before: Object | None, now: Object | None) -> None:
        if asks(before) != asks(now):
            self.applying.add(name)
        for other in needs(before) - needs(now):
            self._dependents[other].discard(name)
        for other in needs(now) - needs(before):
            self._dependents.setdefault(other, set()).add(name)
        # Whoever depends on it may go on.
        is_another = _came(before) != _came(now)
        for other in tuple(self._dependents.get(name, ())):
            if is_another or _is_expressed(self._kustomizations.get(other)):
                self.applying.add(other)

    def _drifted(self, name: Name) -> None:
        self._work.drifted(name)
        self.applying.add(name)

    def _touched(self, name: Name) -> None:
        if self._work.is_waiting(name):
            self.applying.add(name)

    def _fault(self, kind: str) -> Callable[[str], None]:
        return partial(lost, self._figures, kind)


def fenced(note: Callable[[Act], None], is_mine: Callable[[Name], bool]) -> Callable[[Act], None]:
    """A note that is not taken of what would be written by a replica whose share has meanwhile become another's."""

    def fence(act: Act) -> None:
        if act.step != "done" and not is_mine(act.done.asked.name):
            raise ToolError("this replica has it no more: another may be at work on it")
        note(act)

    return fence


def _served(cluster: Objects, group: str, versions: tuple[str, ...], name: str) -> Kind:
    kind = cluster.newest(group, versions, name)
    if kind is None:
        raise ToolError(f"the cluster knows no {name} of {group}: install Flux's resource definitions")
    return kind


def needs(value: Object | None) -> set[Name]:
    """What a Kustomization depends on, by namespace and name."""
    own = ((value or {}).get("metadata") or {}).get("namespace") or ""
    return {(one.get("namespace") or own, str(one.get("name"))) for one in at(value, ("spec", "dependsOn")) or ()}


def _is_expressed(value: Object | None) -> bool:
    return any(one.get("readyExpr") for one in at(value, ("spec", "dependsOn")) or ())


def _came(value: Object | None) -> object:
    ready = conditions.ready_of(value)
    return ready.get("status"), ready.get("observedGeneration"), at(value, ("status", "lastAppliedRevision"))
