"""GitRepositories in a cluster: pulled when they are due, judged once for each commit, and told of in their status."""

from __future__ import annotations

import datetime
import os
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from gatekeeper import config
from gatekeeper.apply.model import ApplySet
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.cluster.reflector import NamespacedName
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.errors import GateError, ToolError
from gatekeeper.flux import source as flux_source
from gatekeeper.flux.status import RECONCILE_REQUESTED_AT
from gatekeeper.host.toolchain import Toolchain
from gatekeeper.kube import conditions
from gatekeeper.kube.conditions import Condition
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import Verdict, get_field
from gatekeeper.repositories import git_repository_spec
from gatekeeper.repositories.git_repository_spec import GitRepository
from gatekeeper.repositories.provenance import CommitProvenance
from gatekeeper.repositories.revision import Revision
from gatekeeper.secret_value import SecretBytes

# What a commit has not changed gives way to what it has.
UNCHANGED_DELAY_SECONDS = 1.0


class GitRepositoryState(NamedTuple):
    """What is known of a source.

    Attributes:
        commits: its commit, and those of what it includes.
        spec: what of the GitRepository it was pulled by.
        judged_on: on which it was judged: a waiver may be over tomorrow.
        provenance: whom the commit is owed to.
    """

    revision: Revision
    commits: list[str]
    spec: object
    judged_on: datetime.date
    provenance: CommitProvenance = CommitProvenance()


class PackedKustomization(NamedTuple):
    """What a Kustomization applies, rendered and judged, small.

    Attributes:
        fingerprint: revision, day and generation, and the values from the cluster that went in.
        verdict: on the repository, and on what this applies.
        kustomization, objects: compressed JSON.
    """

    fingerprint: object
    verdict: Verdict
    kustomization: bytes
    objects: bytes
    folder: str
    render_error: str
    secret_values: tuple[SecretBytes, ...]
    toolchain: Toolchain

    @property
    def build(self) -> ApplySet:
        """As it was."""
        kustomization, objects = (orjson.loads(zlib.decompress(one)) for one in (self.kustomization, self.objects))
        return ApplySet(kustomization, self.folder, objects, self.render_error, self.secret_values, self.toolchain)


def pack(build: ApplySet, fingerprint: object, verdict: Verdict) -> PackedKustomization:
    """What is kept of what a Kustomization applies."""
    kustomization, objects = (zlib.compress(orjson.dumps(one), 1) for one in (build.parent, list(build.objects)))
    return PackedKustomization(
        fingerprint,
        verdict,
        kustomization,
        objects,
        build.folder,
        build.render_error,
        build.secret_values,
        build.toolchain,
    )


class RepositorySnapshot(NamedTuple):
    """The state of a GitRepository and what one of its Kustomizations applies, both read at the same moment.

    Attributes:
        build: None where the Kustomization is not rendered yet.
    """

    state: GitRepositoryState
    build: PackedKustomization | None

    def is_stale(self, fingerprint: object) -> bool:
        """Whether the Kustomization was rendered from other inputs than these, or not at all."""
        return self.build is None or self.build.fingerprint != fingerprint


class GitRepositoryCache:
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
        cluster: DynamicClient,
        get_repository: Callable[[NamespacedName], Object | None],
        list_kustomizations: Callable[[NamespacedName], Sequence[Object]],
        on_ready: Callable[[NamespacedName, float], None],
        on_revision_change: Callable[[NamespacedName], None],
        metrics: Metrics,
        config_file: Path | None,
        storage_dir: Path,
    ) -> None:
        self._cluster, self._get_repository, self._list_kustomizations, self._on_ready = (
            cluster,
            get_repository,
            list_kustomizations,
            on_ready,
        )
        self._on_revision_change = on_revision_change
        self._metrics, self._config_file, self._storage_dir = metrics, config_file, storage_dir
        # Workers of GitRepositories and of Kustomizations use both dictionaries; only the methods below touch them.
        self._lock = threading.Lock()
        self._states: dict[NamespacedName, GitRepositoryState] = {}
        self._builds: dict[NamespacedName, PackedKustomization] = {}

    def get_state(self, name: NamespacedName) -> GitRepositoryState | None:
        """What is known of a GitRepository; None before its first successful reconcile."""
        with self._lock:
            return self._states.get(name)

    def snapshot(self, source: NamespacedName, kustomization: NamespacedName) -> RepositorySnapshot | None:
        """The state of a GitRepository with the build of one Kustomization; None where the former is not known."""
        with self._lock:
            state = self._states.get(source)
            return RepositorySnapshot(state, self._builds.get(kustomization)) if state is not None else None

    def store(
        self,
        name: NamespacedName,
        state: GitRepositoryState,
        builds: Mapping[NamespacedName, PackedKustomization],
    ) -> set[NamespacedName]:
        """Replaces the state of a GitRepository and the builds of some Kustomizations; those that apply the same."""
        with self._lock:
            unchanged = {
                key
                for key, build in builds.items()
                if (before := self._builds.get(key)) is not None and before.objects == build.objects
            }
            self._states[name] = state
            self._builds.update(builds)
            return unchanged

    def forget_repository(self, name: NamespacedName) -> None:
        """Drops the state of a GitRepository that was deleted."""
        with self._lock:
            self._states.pop(name, None)

    def forget_kustomization(self, name: NamespacedName) -> None:
        """Drops the build of a Kustomization that was deleted."""
        with self._lock:
            self._builds.pop(name, None)

    def reconcile(self, name: NamespacedName) -> float | None:
        """Pulls a source, and judges and renders what is new.

        Raises:
            GateError: it cannot be had or judged; what is known of it stays.
        """
        value = self._get_repository(name)
        if value is None:
            self.forget_repository(name)
            return None
        try:
            source = git_repository_spec.parse_git_repository(value)
        except FieldError as error:
            self._write_status(value, "False", "InvalidSpec", str(error))
            return None
        if source.is_suspended:
            return None
        try:
            self._fetch_and_judge(name, value, source)
        except GateError as error:
            self._write_status(value, "False", "GitOperationFailed", str(error))
            raise
        except OSError as error:
            reason = f"{error.filename or self._storage_dir}: {error.strerror or error}"
            self._write_status(value, "False", "StorageOperationFailed", reason)
            raise ToolError(reason) from None
        return source.interval

    def _fetch_and_judge(self, name: NamespacedName, value: Object, repository: GitRepository) -> None:
        meant, state = flux_source.resolve_source_revision(self._cluster, repository), self.get_state(name)
        revision = meant.revision
        own, day = list(self._list_kustomizations(name)), datetime.date.today()
        asked, of = get_field(value, ("spec",)), [meant.revisions, str(day)]
        is_new = state is None or (state.commits, state.spec, state.judged_on) != (meant.revisions, asked, day)
        wanted = {_get_name(one): [of, *list_input_versions(self._cluster, one)] for one in own}
        stale = own if is_new else [one for one in own if self._is_stale(_get_name(one), wanted[_get_name(one)])]
        if not is_new and not stale:
            self._report_stored(value, revision)
            return
        root, credit = flux_source.fetch_artifact(self._cluster, repository, meant, self._storage_dir)
        began = time.monotonic()
        settings = config.load(root, self._config_file)
        verdict, rendered = flux_source.build_kustomizations(root, settings, os.cpu_count() or 1, stale, self._cluster)
        self._metrics.verdict_seconds.labels("reconcile").observe(time.monotonic() - began)
        self._metrics.verdicts.labels("reconcile", verdict.decision).inc()
        took = round(time.monotonic() - began, 3)
        log_event(
            "info",
            f"judged: {verdict.decision}",
            controller="GitRepository",
            object="/".join(name),
            revision=str(revision),
            findings=len(verdict.active_findings),
            seconds=took,
        )
        new_state = GitRepositoryState(revision, meant.revisions, asked, day, credit)
        same = self.store(name, new_state, {one.name: pack(one, wanted[one.name], verdict) for one in rendered})
        if is_new:
            self._on_revision_change(name)
        self._report_stored(value, revision)
        # Those that came meanwhile among them: they see that they are not rendered yet, and ask again.
        for value in self._list_kustomizations(name):
            self._on_ready(_get_name(value), UNCHANGED_DELAY_SECONDS if _get_name(value) in same else 0.0)

    def _is_stale(self, name: NamespacedName, fingerprint: object) -> bool:
        with self._lock:
            build = self._builds.get(name)
        return build is None or build.fingerprint != fingerprint

    def compute_fingerprint(self, state: GitRepositoryState, kustomization: Object) -> object:
        """What a Kustomization of a GitRepository is rendered from now; see `PackedKustomization`."""
        return [[state.commits, str(state.judged_on)], *list_input_versions(self._cluster, kustomization)]

    def _report_stored(self, value: Object, revision: Revision) -> None:
        self._write_status(value, "True", "Succeeded", f"stored artifact for revision '{revision}'", str(revision))

    def _write_status(self, value: Object, status: str, reason: str, message: str, revision: str = "") -> None:
        """Writes the status, as `flux get sources git` reads it, if it is another than before."""
        message = message[: conditions.MAX_MESSAGE_LENGTH]
        ready, generation = conditions.find_ready_condition(value), get_field(value, ("metadata", "generation"))
        asked = get_field(value, ("metadata", "annotations", RECONCILE_REQUESTED_AT))
        handled = get_field(value, ("status", "lastHandledReconcileAt"))
        same = (ready.get("status"), ready.get("reason"), ready.get("message"), ready.get("observedGeneration"))
        if same == (status, reason, message, generation) and asked == handled:
            return
        now = time.time()
        condition = conditions.build_condition(Condition("Ready", status, reason, message), value, now)
        found: dict[str, Any] = {"conditions": [condition], "observedGeneration": generation}
        if asked:
            found["lastHandledReconcileAt"] = asked
        if revision:
            # There is no archive to fetch: what is judged here is applied here.
            found["artifact"] = {
                "revision": revision,
                "path": f"gitrepository/{'/'.join(_get_name(value))}",
                "url": str(get_field(value, ("spec", "url"))),
                "lastUpdateTime": conditions.format_time(now),
            }
        try:
            kind = self._cluster.find_kind(value["apiVersion"], "GitRepository")
            live = self._cluster.get(kind, *_get_name(value)) if kind is not None else None
            if kind is not None and live is not None:
                self._cluster.patch_status(kind, live, found)
        except ToolError as error:
            log_event("warning", str(error), controller="GitRepository", object="/".join(_get_name(value)))


def list_input_versions(cluster: DynamicClient, kustomization: Object) -> list[object]:
    """The inputs of rendering a Kustomization: its uid and generation, and the versions of the values' objects."""
    metadata: Mapping[str, Any] = kustomization["metadata"]
    listed = get_field(kustomization, ("spec", "postBuild", "substituteFrom"))
    versions: list[object] = []
    for one in listed if isinstance(listed, list) else ():
        kind = cluster.find_kind("v1", str(one.get("kind")))
        found = cluster.get(kind, metadata["namespace"], str(one.get("name"))) if kind else None
        versions.append(get_field(found, ("metadata", "resourceVersion")))
    # A Kustomization that was deleted and created again has the same generation, and another spec.
    return [metadata.get("uid"), metadata.get("generation"), versions]


def _get_name(value: Object) -> NamespacedName:
    return value["metadata"]["namespace"], value["metadata"]["name"]
