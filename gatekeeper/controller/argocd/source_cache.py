"""Source cache: the sources of Applications, fetched, rendered and checked once for each revision.

Applications with the same sources and project share a source set: they are rendered and checked together.
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gatekeeper.argocd import source_fetch
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.model import ApplicationBuild, ApplicationSpec, CheckedApplications
from gatekeeper.argocd.source_fetch import FetchedSource, SourceAccess, SourceSet
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.controller.runtime.build_cache import BuildCache, log_verdict, pack_objects, unpack_objects
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.errors import GatekeeperError, ToolError
from gatekeeper.model import NamespacedName, Object, Verdict, get_field, name_of, read_labels
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.repositories.provenance import CommitProvenance
from gatekeeper.repositories.revision import Revision

REFRESH_ANNOTATION = "argocd.argoproj.io/refresh"


class SourceSetKey(NamedTuple):
    """A source set; another project may have other credentials for the same sources."""

    project: str
    source_set: SourceSet

    def __str__(self) -> str:
        return " ".join((self.project, *(f"{source.url}@{source.target_revision}" for source in self.source_set)))


class SourceSetState(NamedTuple):
    """What the last refresh of a source set found.

    Attributes:
        queried_at: when that refresh began, by the monotonic clock.
        revisions: of all sources; empty if no refresh has succeeded yet.
        checked_on: the day of the verdict, because a waiver may expire the next day.
        provenance: of the first source's commit.
        fault: why the last refresh failed; empty if it did not.
    """

    queried_at: float
    revisions: tuple[Revision, ...] = ()
    checked_on: datetime.date | None = None
    provenance: CommitProvenance = CommitProvenance()
    fault: str = ""


# Renders and checks the checkouts of the sources of Applications, given with their commits.
ApplicationCheck = Callable[[Sequence[Path], Sequence[str], Sequence[ApplicationSpec]], CheckedApplications]


class PackedApplication(NamedTuple):
    """A rendered and checked Application, kept small; see `build_cache.PackedBuild`."""

    fingerprint: object
    verdict: Verdict
    objects: bytes
    folders: Sequence[str]
    source_types: Sequence[str]
    revisions: Sequence[str]
    render_error: str

    def unpack(self, value: Object, application: Application) -> ApplicationBuild:
        """Unpack the build for an Application as it is now."""
        return ApplicationBuild(
            manifest=value,
            application=application,
            folders=self.folders,
            objects=unpack_objects(self.objects),
            source_types=self.source_types,
            revisions=self.revisions,
            render_error=self.render_error,
        )


def _pack(build: ApplicationBuild, fingerprint: object, verdict: Verdict) -> PackedApplication:
    return PackedApplication(
        fingerprint=fingerprint,
        verdict=verdict,
        objects=pack_objects(build.objects),
        folders=build.folders,
        source_types=build.source_types,
        revisions=build.revisions,
        render_error=build.render_error,
    )


class SourceEnvironment(NamedTuple):
    """What sources are fetched and checked with.

    Attributes:
        argocd_namespace: namespace of Argo CD's own objects.
        check: renders and checks checkouts, and the objects that Applications apply from them at these commits.
        storage_dir: where commits and charts are kept.
    """

    cluster: DynamicClient
    argocd_namespace: str
    check: ApplicationCheck
    storage_dir: Path
    metrics: Metrics


class SourceSetCache:
    """Refreshes source sets and keeps what was rendered from them.

    Args:
        list_applications: lists the Applications of a source set, as manifest and decoded.
        list_signers: lists the PGP keys that may sign commits for a project.
        on_ready: called with each Application that has a new build, or a new error.
    """

    def __init__(
        self,
        environment: SourceEnvironment,
        list_applications: Callable[[SourceSetKey], Sequence[ApplicationSpec]],
        list_signers: Callable[[str], tuple[str, ...]],
        on_ready: Callable[[NamespacedName], None],
    ) -> None:
        self._environment, self._on_ready = environment, on_ready
        self._list_applications, self._list_signers = list_applications, list_signers
        self.builds = BuildCache[SourceSetKey, SourceSetState, PackedApplication]()
        self._fetch_locks_lock = threading.Lock()
        self._fetch_locks: dict[str, threading.Lock] = {}

    def compute_fingerprint(self, key: SourceSetKey, state: SourceSetState, value: Object) -> object:
        """Compute the inputs that an Application would be rendered from now."""
        revisions, signers = list(map(str, state.revisions)), list(self._list_signers(key.project))
        return [revisions, str(state.checked_on), signers, _extract_build_spec(value)]

    def refresh(self, key: SourceSetKey) -> bool:
        """Query the revisions of a source set; fetch, render and check what has changed.

        Returns:
            Whether any Application uses the source set.

        Raises:
            ToolError: a source cannot be fetched or checked; the previous builds stay.
        """
        # Read first: a commit that is pushed during the query may be missed.
        queried_at, applications = time.monotonic(), list(self._list_applications(key))
        if not applications:
            self.builds.forget_source(key)
            return False
        previous = self.builds.get_state(key)
        try:
            updated = self._query_sources(key, applications, queried_at)
        except (GatekeeperError, OSError) as error:
            reason = f"{error.filename}: {error.strerror or error}" if isinstance(error, OSError) else str(error)
            failed = (previous or SourceSetState(queried_at))._replace(queried_at=queried_at, fault=reason)
            self.builds.store(key, failed, {})
            for value, _ in applications:
                self._on_ready(name_of(value))
            raise ToolError(reason) from None
        is_first_success = previous is None or bool(previous.fault)
        for value, _ in applications:
            if is_first_success or is_refresh_requested(value) or name_of(value) in updated:
                self._on_ready(name_of(value))
        return True

    def _query_sources(
        self, key: SourceSetKey, applications: Sequence[ApplicationSpec], queried_at: float
    ) -> set[NamespacedName]:
        """Update the state and the stale builds of a source set; return the names of the updated Applications."""
        access = self._build_access(key)
        revisions = tuple(source_fetch.resolve_revision(access, source) for source in key.source_set)
        previous = self.builds.get_state(key)
        provenance = previous.provenance if previous else CommitProvenance()
        state = SourceSetState(queried_at, revisions, datetime.date.today(), provenance)
        fingerprints = {name_of(value): self.compute_fingerprint(key, state, value) for value, _ in applications}
        stale = [
            application
            for application in applications
            if self.builds.is_stale(name := name_of(application[0]), fingerprints[name])
        ]
        builds: dict[NamespacedName, PackedApplication] = {}
        if stale:
            fetched = self._fetch_sources(key, revisions)
            state = state._replace(provenance=fetched[0].provenance)
            builds = self._build_applications(key, state, fetched, stale, fingerprints)
        self.builds.store(key, state, builds)
        return {name_of(value) for value, _ in stale}

    def _build_access(self, key: SourceSetKey) -> SourceAccess:
        environment = self._environment
        signers = self._list_signers(key.project)
        return SourceAccess(
            environment.cluster, environment.argocd_namespace, key.project, environment.storage_dir, signers
        )

    def _fetch_sources(self, key: SourceSetKey, revisions: Sequence[Revision]) -> list[FetchedSource]:
        access, fetched = self._build_access(key), []
        for source, revision in zip(key.source_set, revisions, strict=True):
            with self._fetch_locks_lock:
                fetch_lock = self._fetch_locks.setdefault(source.url, threading.Lock())
            # Two fetches of one repository use the same folder.
            with fetch_lock:
                fetched.append(source_fetch.fetch_source(access, source, revision))
        return fetched

    def _build_applications(
        self,
        key: SourceSetKey,
        state: SourceSetState,
        fetched: Sequence[FetchedSource],
        applications: Sequence[ApplicationSpec],
        fingerprints: Mapping[NamespacedName, object],
    ) -> dict[NamespacedName, PackedApplication]:
        started_at = time.monotonic()
        commits = [revision.commit for revision in state.revisions]
        roots = [source.root for source in fetched]
        verdict, builds = self._environment.check(roots, commits, applications)
        seconds = time.monotonic() - started_at
        self._environment.metrics.observe_verdict("reconcile", verdict.decision, seconds)
        urls = " ".join(source.url for source in key.source_set)
        log_verdict("Repository", urls, " ".join(commits), verdict, seconds)
        return {(name := name_of(build.manifest)): _pack(build, fingerprints[name], verdict) for build in builds}


def is_refresh_requested(value: Object) -> bool:
    """Whether an Application has the annotation that requests a refresh."""
    return REFRESH_ANNOTATION in read_labels(value, "annotations")


def build_source_key(application: Application) -> SourceSetKey:
    """Return the source set of an Application."""
    return SourceSetKey(application.project, source_fetch.list_source_references(application))


def _extract_build_spec(value: Object) -> object:
    """Return the fields of an Application that rendering and checking depend on."""
    spec = value.get("spec") or {}
    policy = [get_field(spec, ("syncPolicy", name)) for name in ("syncOptions", "managedNamespaceMetadata")]
    return [*(spec.get(name) for name in ("source", "sources", "destination")), policy]
