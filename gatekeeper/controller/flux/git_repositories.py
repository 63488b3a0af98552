"""Reconciles GitRepositories: fetches those that are due, renders and checks each commit once, and writes their status.

Source: source-controller `docs/spec/v1/gitrepositories.md` (status), `internal/controller/gitrepository_controller.go`.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping, Sequence
from typing import Any

from gatekeeper.cluster import object_status
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.controller.flux.context import FluxEnvironment
from gatekeeper.controller.flux.repository_cache import RepositoryCache, RepositoryState, pack
from gatekeeper.controller.runtime.build_cache import log_verdict
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.errors import GatekeeperError, ToolError
from gatekeeper.flux import source as flux_source
from gatekeeper.flux.source import SourceRevision
from gatekeeper.flux.status import RECONCILE_REQUESTED_AT
from gatekeeper.kube import conditions
from gatekeeper.kube.conditions import Condition
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import NamespacedName, Object, get_field, name_of
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.repositories import git_repository_spec
from gatekeeper.repositories.git_repository_spec import GitRepository

CONTROLLER = "GitRepository"
# Kustomizations that a commit does not change are reconciled after those that it changes.
UNCHANGED_DELAY_SECONDS = 1.0


class GitRepositoryReconciler:
    """Reconciles one GitRepository at a time per worker, and fills the cache that Kustomizations are applied from."""

    def __init__(self, environment: FluxEnvironment, cache: RepositoryCache) -> None:
        self._environment, self._cache = environment, cache

    def reconcile(self, name: NamespacedName) -> float | None:
        """Fetches a GitRepository, and renders and checks new commits.

        Returns:
            Seconds until the next reconcile; None if only a change of the object leads to one.

        Raises:
            GatekeeperError: it cannot be fetched or checked; the cache stays unchanged.
        """
        value = self._environment.repositories.get(name)
        if value is None:
            self._cache.forget_source(name)
            return None
        try:
            repository = git_repository_spec.parse_git_repository(value)
        except FieldError as error:
            self._write_status(value, "False", "InvalidSpec", str(error))
            return None
        if repository.is_suspended:
            return None
        try:
            self._fetch_and_check(value, repository)
        except GatekeeperError as error:
            self._write_status(value, "False", "GitOperationFailed", str(error))
            raise
        except OSError as error:
            reason = f"{error.filename or self._environment.storage_dir}: {error.strerror or error}"
            self._write_status(value, "False", "StorageOperationFailed", reason)
            raise ToolError(reason) from None
        return repository.interval

    def _fetch_and_check(self, value: Object, repository: GitRepository) -> None:
        environment, name = self._environment, name_of(value)
        fetched = flux_source.resolve_source_revision(environment.cluster, repository)
        checked_on, spec = datetime.date.today(), get_field(value, ("spec",))
        state = self._cache.get_state(name)
        is_new = state is None or (state.commits, state.spec, state.checked_on) != (fetched.revisions, spec, checked_on)
        kustomizations = environment.list_kustomizations(name)
        fingerprints = {
            name_of(kustomization): compute_fingerprint(
                environment.cluster, fetched.revisions, checked_on, kustomization
            )
            for kustomization in kustomizations
        }
        stale = [
            kustomization
            for kustomization in kustomizations
            if is_new or self._cache.is_stale(name_of(kustomization), fingerprints[name_of(kustomization)])
        ]
        unchanged: set[NamespacedName] = set()
        if is_new or stale:
            unchanged = self._build(_Fetch(name, repository, fetched, spec, checked_on), stale, fingerprints)
        if is_new:
            # A repository that includes this one has other files now.
            for includer in environment.list_includers(name):
                environment.enqueue_repository(includer)
        self._write_status(
            value, "True", "Succeeded", f"stored artifact for revision '{fetched.revision}'", str(fetched.revision)
        )
        # Kustomizations that were created in the meantime are not rendered yet: they request another reconcile.
        for kustomization in environment.list_kustomizations(name) if is_new or stale else ():
            delay = UNCHANGED_DELAY_SECONDS if name_of(kustomization) in unchanged else 0.0
            environment.enqueue_kustomization(name_of(kustomization), delay)

    def _build(
        self, fetch: _Fetch, kustomizations: Sequence[Object], fingerprints: Mapping[NamespacedName, object]
    ) -> set[NamespacedName]:
        """Fetches, renders and checks; returns the Kustomizations that apply the same objects as before."""
        environment = self._environment
        root, provenance = flux_source.fetch_artifact(
            environment.cluster, fetch.repository, fetch.revision, environment.storage_dir
        )
        started_at = time.monotonic()
        verdict, builds = environment.options.check(root, kustomizations, environment.cluster)
        seconds = time.monotonic() - started_at
        environment.metrics.observe_verdict("reconcile", verdict.decision, seconds)
        log_verdict(CONTROLLER, str(fetch.name), str(fetch.revision.revision), verdict, seconds)
        state = RepositoryState(
            fetch.revision.revision, fetch.revision.revisions, fetch.spec, fetch.checked_on, provenance
        )
        packed = {build.name: pack(build, fingerprints[build.name], verdict) for build in builds}
        return self._cache.store(fetch.name, state, packed)

    def _write_status(self, value: Object, status: str, reason: str, message: str, revision: str = "") -> None:
        """Writes the status, as `flux get sources git` reads it, if it has changed."""
        now = time.time()
        ready = conditions.build_condition(Condition("Ready", status, reason, message), value, now)
        requested_at = get_field(value, ("metadata", "annotations", RECONCILE_REQUESTED_AT))
        handled_at = get_field(value, ("status", "lastHandledReconcileAt"))
        if ready == conditions.find_ready_condition(value) and requested_at == handled_at:
            return
        fields: dict[str, Any] = {"conditions": [ready], "observedGeneration": ready["observedGeneration"]}
        if requested_at:
            fields["lastHandledReconcileAt"] = requested_at
        if revision:
            # There is no archive to download: this process applies the objects that it checked.
            fields["artifact"] = {
                "revision": revision,
                "path": f"gitrepository/{name_of(value)}",
                "url": str(get_field(value, ("spec", "url"))),
                "lastUpdateTime": conditions.format_time(now),
            }
        cluster = self._environment.cluster
        try:
            kind = cluster.find_kind(value["apiVersion"], value["kind"])
            live = cluster.get(kind, *name_of(value)) if kind is not None else None
            if live is not None:
                object_status.write_status(cluster, live, fields)
        except ToolError as error:
            log_event("warning", str(error), controller=CONTROLLER, object=str(name_of(value)))


class _Fetch(NamedTuple):
    """A GitRepository at the revision that is fetched and checked."""

    name: NamespacedName
    repository: GitRepository
    revision: SourceRevision
    spec: object
    checked_on: datetime.date


def compute_fingerprint(
    cluster: DynamicClient, commits: list[str], checked_on: datetime.date, kustomization: Object
) -> object:
    """The input from which a Kustomization is rendered and checked; see `PackedKustomization`.

    Raises:
        ToolError: the cluster refuses, or does not answer.
    """
    metadata: Mapping[str, Any] = kustomization["metadata"]
    sources = get_field(kustomization, ("spec", "postBuild", "substituteFrom"))
    versions: list[object] = []
    for entry in sources if isinstance(sources, list) else ():
        kind = cluster.find_kind("v1", str(entry.get("kind")))
        value = cluster.get(kind, metadata["namespace"], str(entry.get("name"))) if kind else None
        versions.append(get_field(value, ("metadata", "resourceVersion")))
    # A Kustomization that was deleted and created again has the same generation, and another uid.
    return [commits, str(checked_on), metadata.get("uid"), metadata.get("generation"), versions]
