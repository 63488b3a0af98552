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
from gatekeeper.argocd.manifest_generation import SourceSet
from gatekeeper.argocd.model import ApplicationBuild
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.errors import GateError, ToolError
from gatekeeper.kube.labels import read_labels
from gatekeeper.kube.objects import NamespacedName, name_of
from gatekeeper.model import Verdict, get_field
from gatekeeper.repositories.provenance import CommitProvenance
from gatekeeper.repositories.revision import Revision

REFRESH_ANNOTATION = "argocd.argoproj.io/refresh"


class SourceSetKey(NamedTuple):
    """By what Applications are rendered together: those of another project may have other credentials."""

    project: str
    source_set: SourceSet

    def __str__(self) -> str:
        return " ".join((self.project, *("@".join(part for part in one[:2]) for one in self.source_set)))


class SourceSetState(NamedTuple):
    """What is known of the sources of some Applications.

    Attributes:
        provenance: whom the commit of the first is owed to.
        judged_on: on which they were judged: a waiver may be over tomorrow.
        fault: why they could not be had lately; empty where they could.
    """

    revisions: tuple[Revision, ...]
    judged_on: datetime.date | None
    provenance: CommitProvenance = CommitProvenance()
    fault: str = ""


class PackedApplication(NamedTuple):
    """What an Application applies, rendered and judged, small.

    Attributes:
        fingerprint: from what.
        objects: compressed JSON.
    """

    fingerprint: object
    verdict: Verdict
    objects: bytes
    folders: Sequence[str]
    source_types: Sequence[str]
    revisions: Sequence[str]
    render_error: str

    def unpack(self, value: Object, application: Application) -> ApplicationBuild:
        """As it was, of the Application as it is."""
        objects = orjson.loads(zlib.decompress(self.objects))
        return ApplicationBuild(
            value, application, self.folders, objects, self.source_types, self.revisions, self.render_error
        )


class SourceSetSnapshot(NamedTuple):
    """What is known of a source set and of one Application of it, all read at the same moment.

    Attributes:
        state: None before the sources were queried.
        queried_at: when the last query began, by the monotonic clock; 0 before the first.
        build: None where the Application is not rendered yet.
    """

    state: SourceSetState | None
    queried_at: float
    build: PackedApplication | None

    def is_stale(self, fingerprint: object) -> bool:
        """Whether the Application was rendered from other inputs than these, or not at all."""
        return self.build is None or self.build.fingerprint != fingerprint


def _pack(build: ApplicationBuild, fingerprint: object, verdict: Verdict) -> PackedApplication:
    objects = zlib.compress(orjson.dumps(list(build.objects)), 1)
    return PackedApplication(
        fingerprint, verdict, objects, build.folders, build.source_types, build.revisions, build.render_error
    )


class SourceSetCache:
    """What is known of all sources.

    Args:
        home: the namespace of Argo CD's own objects.
        own: the Applications of an origin.
        signers: by whom commits of a project must be signed.
        ready: is told of each Application for which there is something new.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        argocd_namespace: str,
        list_applications: Callable[[SourceSetKey], Sequence[tuple[Object, Application]]],
        list_signers: Callable[[str], tuple[str, ...]],
        on_ready: Callable[[NamespacedName], None],
        metrics: Metrics,
        config_file: Path | None,
        storage_dir: Path,
    ) -> None:
        self._cluster, self._argocd_namespace, self._list_applications, self._on_ready = (
            cluster,
            argocd_namespace,
            list_applications,
            on_ready,
        )
        self._list_signers = list_signers
        self._metrics, self._config_file, self._storage_dir = metrics, config_file, storage_dir
        self._fetch_locks: dict[str, threading.Lock] = {}
        # Workers of sources and of Applications use these dictionaries; only the methods of this class touch them.
        self._lock = threading.Lock()
        self._states: dict[SourceSetKey, SourceSetState] = {}
        # When the last query of each began, by the monotonic clock.
        self._queried_at: dict[SourceSetKey, float] = {}
        self._builds: dict[NamespacedName, PackedApplication] = {}

    def snapshot(self, key: SourceSetKey, name: NamespacedName) -> SourceSetSnapshot:
        """What is known of a source set and of one Application of it."""
        with self._lock:
            return SourceSetSnapshot(self._states.get(key), self._queried_at.get(key, 0.0), self._builds.get(name))

    def get_state(self, key: SourceSetKey) -> SourceSetState | None:
        """What is known of a source set; None before it was queried."""
        with self._lock:
            return self._states.get(key)

    def forget_build(self, name: NamespacedName) -> None:
        """Drops the build of an Application, so that the next refresh renders it."""
        with self._lock:
            self._builds.pop(name, None)

    def _store_state(self, key: SourceSetKey, state: SourceSetState, started_at: float) -> None:
        with self._lock:
            self._states[key], self._queried_at[key] = state, started_at

    def compute_fingerprint(self, key: SourceSetKey, state: SourceSetState, value: Object) -> object:
        """What an Application is rendered from now; see `PackedApplication`."""
        return self._build_fingerprint(key, state.revisions, state.judged_on, value)

    def _build_fingerprint(
        self, key: SourceSetKey, revisions: Sequence[Revision], judged_on: datetime.date | None, value: Object
    ) -> object:
        return [list(map(str, revisions)), str(judged_on), list(self._list_signers(key[0])), extract_build_spec(value)]

    def refresh(self, key: SourceSetKey) -> bool:
        """Asks for what is new, and fetches, judges and renders it; whether anybody needs it.

        Raises:
            GateError: it cannot be had or judged; what is known stays.
        """
        # What is pushed while it is asked for may not have been seen.
        began, own = time.monotonic(), list(self._list_applications(key))
        if not own:
            with self._lock:
                self._states.pop(key, None)
            return False
        try:
            self._query_sources(key, own, began)
        except (GateError, OSError) as error:
            reason = f"{error.filename}: {error.strerror or error}" if isinstance(error, OSError) else str(error)
            before = self.get_state(key) or SourceSetState((), None)
            self._store_state(key, before._replace(fault=reason), began)
            for value, _ in own:
                self._on_ready(name_of(value))
            raise ToolError(reason) from None
        return True

    def _query_sources(
        self, key: SourceSetKey, applications: Sequence[tuple[Object, Application]], started_at: float
    ) -> None:
        project, origin = key
        revisions = tuple(
            manifest_generation.resolve_revision(self._cluster, self._argocd_namespace, one, project) for one in origin
        )
        before, day = self.get_state(key), datetime.date.today()
        wanted_ = {name_of(value): self._build_fingerprint(key, revisions, day, value) for value, _ in applications}
        stale = [one for one in applications if self._is_stale(name_of(one[0]), wanted_[name_of(one[0])])]
        state = SourceSetState(revisions, day, before.provenance if before else CommitProvenance())
        if stale:
            state = self._fetch_and_judge(key, state, stale, wanted_)
        self._store_state(key, state, started_at)
        is_told = before is None or bool(before.fault)
        for value, _ in applications:
            if is_told or is_refresh_requested(value) or any(value is one for one, _ in stale):
                self._on_ready(name_of(value))

    def _fetch_and_judge(
        self,
        key: SourceSetKey,
        state: SourceSetState,
        stale: Sequence[tuple[Object, Application]],
        fingerprints: Mapping[NamespacedName, object],
    ) -> SourceSetState:
        project, origin = key
        got = []
        for one, revision in zip(origin, state.revisions, strict=True):
            with self._lock:
                fetch_lock = self._fetch_locks.setdefault(one[0], threading.Lock())
            # Two that fetch into one folder would be in each other's way.
            with fetch_lock:
                got.append(
                    manifest_generation.fetch_source(
                        self._cluster,
                        self._argocd_namespace,
                        one,
                        revision,
                        project,
                        self._storage_dir,
                        self._list_signers(project),
                    )
                )
        began = time.monotonic()
        commits = [one.commit for one in state.revisions]
        verdict, rendered = manifest_generation.build_applications(
            [one.root for one in got], commits, stale, self._config_file, os.cpu_count() or 1
        )
        took = time.monotonic() - began
        self._metrics.verdict_seconds.labels("reconcile").observe(took)
        self._metrics.verdicts.labels("reconcile", verdict.decision).inc()
        log_event(
            "info",
            f"judged: {verdict.decision}",
            controller="Repository",
            object=" ".join(one[0] for one in origin),
            revision=" ".join(commits),
            findings=len(verdict.active_findings),
            seconds=round(took, 3),
        )
        packed = {(name := name_of(build.manifest)): _pack(build, fingerprints[name], verdict) for build in rendered}
        with self._lock:
            self._builds.update(packed)
        return state._replace(provenance=got[0].provenance)

    def _is_stale(self, name: NamespacedName, fingerprint: object) -> bool:
        with self._lock:
            build = self._builds.get(name)
        return build is None or build.fingerprint != fingerprint


def is_refresh_requested(value: Object) -> bool:
    """Whether somebody wants to know at once whether there is something new."""
    return REFRESH_ANNOTATION in read_labels(value, "annotations")


def extract_build_spec(value: Object) -> object:
    """What of an Application goes into what is rendered and judged."""
    spec = value.get("spec") or {}
    policy = [get_field(spec, ("syncPolicy", name)) for name in ("syncOptions", "managedNamespaceMetadata")]
    return [*(spec.get(name) for name in ("source", "sources", "destination")), policy]


def build_source_key(application: Application) -> SourceSetKey:
    """By what an Application is rendered together with others."""
    return SourceSetKey(application.project, manifest_generation.source_set_of(application))
