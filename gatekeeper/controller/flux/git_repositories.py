"""GitRepositories in a cluster: pulled when they are due, judged once for each commit, and told of in their status."""

from __future__ import annotations

import datetime
import os
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from gatekeeper import config
from gatekeeper.apply.model import Asked
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.cluster.reflector import Name
from gatekeeper.controller.runtime.telemetry import Figures, say
from gatekeeper.errors import GateError, ToolError
from gatekeeper.flux import source as flux_source
from gatekeeper.flux.status import REQUESTED
from gatekeeper.kube import conditions
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import Verdict, at
from gatekeeper.repositories import git_repository_spec
from gatekeeper.repositories.git_repository_spec import GitRepository
from gatekeeper.repositories.provenance import Credit
from gatekeeper.repositories.revision import Revision
from gatekeeper.secret_value import Hidden

# What a commit has not changed gives way to what it has.
LATER = 1.0


class State(NamedTuple):
    """What is known of a source.

    Attributes:
        state: its commit, and those of what it includes.
        asked: what of the GitRepository it was pulled by.
        day: on which it was judged: a waiver may be over tomorrow.
        credit: whom the commit is owed to.
    """

    revision: Revision
    state: list[str]
    asked: object
    day: datetime.date
    credit: Credit = Credit()


class Built(NamedTuple):
    """What a Kustomization applies, rendered and judged, small.

    Attributes:
        of: revision, day and generation, and the values from the cluster that went in.
        verdict: on the repository, and on what this applies.
        kustomization, objects: compressed JSON.
    """

    of: object
    verdict: Verdict
    kustomization: bytes
    objects: bytes
    folder: str
    lost: str
    secret: tuple[Hidden, ...]

    @property
    def asked(self) -> Asked:
        """As it was."""
        kustomization, objects = (orjson.loads(zlib.decompress(one)) for one in (self.kustomization, self.objects))
        return Asked(kustomization, self.folder, objects, self.lost, self.secret)


def packed(asked: Asked, of: object, verdict: Verdict) -> Built:
    """What is kept of what a Kustomization applies."""
    kustomization, objects = (zlib.compress(orjson.dumps(one), 1) for one in (asked.kustomization, list(asked.objects)))
    return Built(of, verdict, kustomization, objects, asked.folder, asked.lost, asked.secret)


class Sources:
    """What is known of all GitRepositories.

    Args:
        own: the Kustomizations of a source, as they are in the cluster.
        ready: is told of each Kustomization that was rendered anew, and in how many seconds it is its turn.
        changed: is told of each source that has another commit.
        config_file: judge by this, instead of each repository's own.
        storage: where commits are kept.
    """

    def __init__(
        self,
        cluster: Objects,
        get: Callable[[Name], Object | None],
        own: Callable[[Name], Sequence[Object]],
        ready: Callable[[Name, float], None],
        changed: Callable[[Name], None],
        figures: Figures,
        config_file: Path | None,
        storage: Path,
    ) -> None:
        self._cluster, self._get, self._own, self._ready = cluster, get, own, ready
        self._changed = changed
        self._figures, self._config, self._storage = figures, config_file, storage
        self._judging = threading.Lock()
        self.states: dict[Name, State] = {}
        self.built: dict[Name, Built] = {}

    def work(self, name: Name) -> float | None:
        """Pulls a source, and judges and renders what is new.

        Raises:
            GateError: it cannot be had or judged; what is known of it stays.
        """
        value = self._get(name)
        if value is None:
            self.states.pop(name, None)
            return None
        try:
            source = git_repository_spec.read(value)
        except FieldError as error:
            self._tell(value, "False", "InvalidSpec", str(error))
            return None
        if source.suspend:
            return None
        try:
            self._pull(name, value, source)
        except GateError as error:
            self._tell(value, "False", "GitOperationFailed", str(error))
            raise
        except OSError as error:
            reason = f"{error.filename or self._storage}: {error.strerror or error}"
            self._tell(value, "False", "StorageOperationFailed", reason)
            raise ToolError(reason) from None
        return source.interval

    def _pull(self, name: Name, value: Object, source: GitRepository) -> None:
        meant, state = flux_source.meant(self._cluster, source), self.states.get(name)
        revision = meant.revision
        own, day = list(self._own(name)), datetime.date.today()
        asked, of = at(value, ("spec",)), [meant.state, str(day)]
        is_new = state is None or (state.state, state.asked, state.day) != (meant.state, asked, day)
        wanted = {_name(one): [of, *stamp(self._cluster, one)] for one in own}
        stale = own if is_new else [one for one in own if self.is_stale(_name(one), wanted[_name(one)])]
        if not is_new and not stale:
            self._stored(value, revision)
            return
        root, credit = flux_source.pulled(self._cluster, source, meant, self._storage)
        began = time.monotonic()
        # What a repository pins its tools to counts for the whole program.
        with self._judging:
            settings = config.load(root, self._config)
            verdict, rendered = flux_source.judged(root, settings, os.cpu_count() or 1, stale, self._cluster)
        self._figures.judging.labels("reconcile").observe(time.monotonic() - began)
        self._figures.judged.labels("reconcile", verdict.word).inc()
        took = round(time.monotonic() - began, 3)
        say("info", f"judged: {verdict.word}", controller="GitRepository", object="/".join(name),
            revision=str(revision), findings=len(verdict.counting), seconds=took)  # fmt: skip
        self.states[name] = State(revision, meant.state, asked, day, credit)
        if is_new:
            self._changed(name)
        same = set()
        for one in rendered:
            new, held = packed(one, wanted[one.name], verdict), self.built.get(one.name)
            if held is not None and held.objects == new.objects:
                same.add(one.name)
            self.built[one.name] = new
        self._stored(value, revision)
        # Those that came meanwhile among them: they see that they are not rendered yet, and ask again.
        for value in self._own(name):
            self._ready(_name(value), LATER if _name(value) in same else 0.0)

    def is_stale(self, name: Name, of: object) -> bool:
        """Whether what a Kustomization applies was rendered from something else than what is now."""
        held = self.built.get(name)
        return held is None or held.of != of

    def of(self, source: Name, kustomization: Object) -> object:
        """What a Kustomization is rendered from now; see `Built`."""
        state = self.states[source]
        return [[state.state, str(state.day)], *stamp(self._cluster, kustomization)]

    def _stored(self, value: Object, revision: Revision) -> None:
        self._tell(value, "True", "Succeeded", f"stored artifact for revision '{revision}'", str(revision))

    def _tell(self, value: Object, status: str, reason: str, message: str, revision: str = "") -> None:
        """Writes the status, as `flux get sources git` reads it, if it is another than before."""
        message = message[: conditions.MOST_MESSAGE]
        ready, generation = conditions.ready_of(value), at(value, ("metadata", "generation"))
        asked = at(value, ("metadata", "annotations", REQUESTED))
        handled = at(value, ("status", "lastHandledReconcileAt"))
        same = (ready.get("status"), ready.get("reason"), ready.get("message"), ready.get("observedGeneration"))
        if same == (status, reason, message, generation) and asked == handled:
            return
        now = time.time()
        condition = {
            "type": "Ready", "status": status, "reason": reason, "message": message,
            "observedGeneration": generation, "lastTransitionTime": conditions.since(value, status, now),
        }  # fmt: skip
        found: dict[str, Any] = {"conditions": [condition], "observedGeneration": generation}
        if asked:
            found["lastHandledReconcileAt"] = asked
        if revision:
            # There is no archive to fetch: what is judged here is applied here.
            found["artifact"] = {
                "revision": revision,
                "path": f"gitrepository/{'/'.join(_name(value))}",
                "url": str(at(value, ("spec", "url"))),
                "lastUpdateTime": conditions.time_of(now),
            }
        try:
            kind = self._cluster.kind(value["apiVersion"], "GitRepository")
            live = self._cluster.get(kind, *_name(value)) if kind is not None else None
            if kind is not None and live is not None:
                self._cluster.patch_status(kind, live, found)
        except ToolError as error:
            say("warning", str(error), controller="GitRepository", object="/".join(_name(value)))


def stamp(cluster: Objects, kustomization: Object) -> list[object]:
    """What a Kustomization was rendered from: its generation, and the versions of what it takes values from."""
    metadata: Mapping[str, Any] = kustomization["metadata"]
    listed = at(kustomization, ("spec", "postBuild", "substituteFrom"))
    versions: list[object] = []
    for one in listed if isinstance(listed, list) else ():
        kind = cluster.kind("v1", str(one.get("kind")))
        found = cluster.get(kind, metadata["namespace"], str(one.get("name"))) if kind else None
        versions.append(at(found, ("metadata", "resourceVersion")))
    return [metadata.get("generation"), versions]


def _name(value: Object) -> Name:
    return value["metadata"]["namespace"], value["metadata"]["name"]
