"""What Applications are rendered from: asked when it is due, fetched and judged once for each commit.

Applications with the same sources are rendered and judged together.
"""

from __future__ import annotations

import datetime
import os
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson

from gatekeeper.argocd import manifest_generation
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.manifest_generation import Origin
from gatekeeper.argocd.model import Asked
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.cluster.reflector import Name
from gatekeeper.controller.runtime.telemetry import Figures, say
from gatekeeper.errors import GateError, ToolError
from gatekeeper.kube.labels import labels_of
from gatekeeper.model import Verdict, at
from gatekeeper.repositories.provenance import Credit
from gatekeeper.repositories.revision import Revision

REFRESH = "argocd.argoproj.io/refresh"


class Key(NamedTuple):
    """By what Applications are rendered together: those of another project may have other credentials."""

    project: str
    origin: Origin

    def __str__(self) -> str:
        return " ".join((self.project, *("@".join(part for part in one[:2]) for one in self.origin)))


class State(NamedTuple):
    """What is known of the sources of some Applications.

    Attributes:
        credit: whom the commit of the first is owed to.
        day: on which they were judged: a waiver may be over tomorrow.
        fault: why they could not be had lately; empty where they could.
    """

    revisions: tuple[Revision, ...]
    day: datetime.date | None
    credit: Credit = Credit()
    fault: str = ""


class Built(NamedTuple):
    """What an Application applies, rendered and judged, small.

    Attributes:
        of: from what.
        objects: compressed JSON.
    """

    of: object
    verdict: Verdict
    objects: bytes
    folders: Sequence[str]
    types: Sequence[str]
    revisions: Sequence[str]
    lost: str

    def asked(self, value: Object, application: Application) -> Asked:
        """As it was, of the Application as it is."""
        objects = orjson.loads(zlib.decompress(self.objects))
        return Asked(value, application, self.folders, objects, self.types, self.revisions, self.lost)


def _packed(asked: Asked, of: object, verdict: Verdict) -> Built:
    objects = zlib.compress(orjson.dumps(list(asked.objects)), 1)
    return Built(of, verdict, objects, asked.folders, asked.types, asked.revisions, asked.lost)


class Origins:
    """What is known of all sources.

    Args:
        home: the namespace of Argo CD's own objects.
        own: the Applications of an origin.
        signers: by whom commits of a project must be signed.
        ready: is told of each Application for which there is something new.
    """

    def __init__(
        self,
        cluster: Objects,
        home: str,
        own: Callable[[Key], Sequence[tuple[Object, Application]]],
        signers: Callable[[str], tuple[str, ...]],
        ready: Callable[[Name], None],
        figures: Figures,
        config_file: Path | None,
        storage: Path,
    ) -> None:
        self._cluster, self._home, self._own, self._ready = cluster, home, own, ready
        self._signers = signers
        self._figures, self._config, self._storage = figures, config_file, storage
        self._judging = threading.Lock()
        self._fetching: dict[str, threading.Lock] = {}
        self.states: dict[Key, State] = {}
        # When each was last begun to be asked, by the monotonic clock.
        self.looked: dict[Key, float] = {}
        self.built: dict[Name, Built] = {}

    def of(self, key: Key, value: Object) -> object:
        """What an Application is rendered from now; see `Built`."""
        state = self.states[key]
        return self._stamp(key, state.revisions, state.day, value)

    def _stamp(self, key: Key, revisions: Sequence[Revision], day: datetime.date | None, value: Object) -> object:
        return [list(map(str, revisions)), str(day), list(self._signers(key[0])), spec_of(value)]

    def work(self, key: Key) -> bool:
        """Asks for what is new, and fetches, judges and renders it; whether anybody needs it.

        Raises:
            GateError: it cannot be had or judged; what is known stays.
        """
        # What is pushed while it is asked for may not have been seen.
        began, own = time.monotonic(), list(self._own(key))
        if not own:
            self.states.pop(key, None)
            return False
        try:
            self._look(key, own, began)
        except (GateError, OSError) as error:
            reason = f"{error.filename}: {error.strerror or error}" if isinstance(error, OSError) else str(error)
            before = self.states.get(key) or State((), None)
            self.states[key], self.looked[key] = before._replace(fault=reason), began
            for value, _ in own:
                self._ready(_name(value))
            raise ToolError(reason) from None
        return True

    def _look(self, key: Key, own: Sequence[tuple[Object, Application]], began: float) -> None:
        project, origin = key
        revisions = tuple(manifest_generation.revision_of(self._cluster, self._home, one, project) for one in origin)
        before, day = self.states.get(key), datetime.date.today()
        wanted_ = {_name(value): self._stamp(key, revisions, day, value) for value, _ in own}
        stale = [one for one in own if self.is_stale(_name(one[0]), wanted_[_name(one[0])])]
        state = State(revisions, day, before.credit if before else Credit())
        if stale:
            state = self._judged(key, state, stale, wanted_)
        self.states[key], self.looked[key] = state, began
        is_told = before is None or bool(before.fault)
        for value, _ in own:
            if is_told or is_refreshed(value) or any(value is one for one, _ in stale):
                self._ready(_name(value))

    def _judged(
        self,
        key: Key,
        state: State,
        stale: Sequence[tuple[Object, Application]],
        wanted: Mapping[Name, object],
    ) -> State:
        project, origin = key
        got = []
        for one, revision in zip(origin, state.revisions, strict=True):
            # Two that fetch into one folder would be in each other's way.
            with self._fetching.setdefault(one[0], threading.Lock()):
                got.append(
                    manifest_generation.fetched(
                        self._cluster, self._home, one, revision, project, self._storage, self._signers(project)
                    )
                )
        began = time.monotonic()
        commits = [one.commit for one in state.revisions]
        # What a repository pins its tools to counts for the whole program.
        with self._judging:
            verdict, rendered = manifest_generation.judged(
                [one.root for one in got], commits, stale, self._config, os.cpu_count() or 1
            )
        took = time.monotonic() - began
        self._figures.judging.labels("reconcile").observe(took)
        self._figures.judged.labels("reconcile", verdict.word).inc()
        say("info", f"judged: {verdict.word}", controller="Repository", object=" ".join(one[0] for one in origin),
            revision=" ".join(commits), findings=len(verdict.counting), seconds=round(took, 3))  # fmt: skip
        for asked in rendered:
            name = _name(asked.value)
            self.built[name] = _packed(asked, wanted[name], verdict)
        return state._replace(credit=got[0].credit)

    def is_stale(self, name: Name, of: object) -> bool:
        """Whether what an Application applies was rendered from something else than what is now."""
        held = self.built.get(name)
        return held is None or held.of != of


def is_refreshed(value: Object) -> bool:
    """Whether somebody wants to know at once whether there is something new."""
    return REFRESH in labels_of(value, "annotations")


def spec_of(value: Object) -> object:
    """What of an Application goes into what is rendered and judged."""
    spec = value.get("spec") or {}
    policy = [at(spec, ("syncPolicy", name)) for name in ("syncOptions", "managedNamespaceMetadata")]
    return [*(spec.get(name) for name in ("source", "sources", "destination")), policy]


def key_of(application: Application) -> Key:
    """By what an Application is rendered together with others."""
    return Key(application.project, manifest_generation.origin_of(application))


def _name(value: Object) -> Name:
    return value["metadata"]["namespace"], value["metadata"]["name"]
