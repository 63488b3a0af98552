"""Reconciles Kustomizations when they are due; waits for their health without blocking a worker.

Source: kustomize-controller `internal/controller/kustomization_controller.go`.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace
from functools import partial

from gatekeeper.apply import prune_budget
from gatekeeper.apply.model import ApplySet, AuditEvent, ReconcileContext, ReconcileOutcome, ReconcileResult
from gatekeeper.apply.prune import PruneResult
from gatekeeper.controller.flux.context import FluxEnvironment
from gatekeeper.controller.flux.git_repositories import compute_fingerprint
from gatekeeper.controller.flux.repository_cache import PackedKustomization, RepositoryCache, RepositoryState
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.flux import dependencies, finalizer, readiness, reconciler, status, status_writer
from gatekeeper.flux.model import Waiting
from gatekeeper.kube import conditions
from gatekeeper.kube.decoder import FieldError, FieldReader
from gatekeeper.model import NamespacedName, Object, get_field, name_of
from gatekeeper.named_tuple import NamedTuple

CONTROLLER = "Kustomization"
DEFAULT_INTERVAL_SECONDS, DEPENDENCY_RETRY_SECONDS = 60.0, 30.0
# Intervals vary by this share, so that Kustomizations are not all due at once.
JITTER = 0.05
# With this value drift is reported, and not corrected.
DRIFT_ANNOTATION, REPORT_ONLY = "gatekeeper-gitops.io/drift", "report"


class _HealthWait(NamedTuple):
    """A Kustomization that is applied and not healthy yet.

    Attributes:
        fingerprint: what it was rendered from: a change ends the wait.
        deadline: the end of the wait, by the monotonic clock.
        looks: how often the objects were looked at.
    """

    waiting: Waiting
    fingerprint: object
    deadline: float
    looks: int

    @property
    def pause(self) -> float:
        """Seconds until the next look, if no object changes before."""
        return readiness.POLLING.compute_pause(self.looks)


class _Build(NamedTuple):
    """A Kustomization with what it applies.

    Attributes:
        value: the Kustomization in the cluster.
        state: its GitRepository.
    """

    value: Object
    state: RepositoryState
    packed: PackedKustomization

    @property
    def name(self) -> NamespacedName:
        return name_of(self.value)

    @property
    def revision(self) -> str:
        return str(self.state.revision)

    def unpack(self) -> ApplySet:
        return self.packed.unpack()


class KustomizationReconciler:
    """Reconciles one Kustomization at a time per worker."""

    def __init__(self, environment: FluxEnvironment, cache: RepositoryCache) -> None:
        self._environment, self._cache = environment, cache
        self._waits: dict[NamespacedName, _HealthWait] = {}
        self._drifted: set[NamespacedName] = set()
        self._logged_outcomes: dict[NamespacedName, ReconcileOutcome] = {}
        self._reported_drift: dict[NamespacedName, str] = {}
        self._stop_event = threading.Event()

    def is_waiting(self, name: NamespacedName) -> bool:
        """Whether a Kustomization waits for the health of its objects."""
        return name in self._waits

    def mark_drifted(self, name: NamespacedName) -> None:
        """Notes that another client changed an applied object: the next reconcile applies, even during a wait."""
        self._drifted.add(name)

    def reconcile(self, name: NamespacedName) -> float | None:
        """Does the next step for a Kustomization.

        Returns:
            Seconds until the next reconcile; None if only a change of an object leads to one.

        Raises:
            GatekeeperError: the cluster refuses, or does not answer.
        """
        value = self._environment.kustomizations.get(name)
        if value is None:
            self._forget(name)
            return None
        if get_field(value, ("metadata", "deletionTimestamp")):
            record = partial(self._record_deletion, value)
            return finalizer.finalize_kustomization(self._environment.cluster, value, record)
        if get_field(value, ("spec", "suspend")):
            self._waits.pop(name, None)
            return None
        repository = dependencies.source_of(value)
        if repository is None:
            kind = get_field(value, ("spec", "sourceRef", "kind"))
            message = f"sources of kind {kind} are not supported: use a GitRepository"
            return self._report_blocked(value, ReconcileOutcome.failed("ArtifactFailed", message), None)
        snapshot = self._cache.snapshot(repository, name)
        if snapshot is None:
            return self._report_missing_source(value, repository)
        state, packed = snapshot
        fingerprint = compute_fingerprint(self._environment.cluster, state.commits, state.checked_on, value)
        if packed is None or snapshot.is_stale(fingerprint):
            self._environment.enqueue_repository(repository)
            return None
        return self._apply_or_wait(_Build(value, state, packed))

    def _forget(self, name: NamespacedName) -> None:
        self._cache.forget_build(name)
        self._waits.pop(name, None)
        self._drifted.discard(name)
        self._logged_outcomes.pop(name, None)
        self._reported_drift.pop(name, None)

    def _report_missing_source(self, value: Object, repository: NamespacedName) -> float | None:
        if self._environment.repositories.get(repository) is not None:
            # The GitRepository enqueues its Kustomizations once it is fetched.
            return None
        outcome = ReconcileOutcome.failed("ArtifactFailed", f"GitRepository {repository} not found")
        return self._report_blocked(value, outcome, _read_interval(value, "retryInterval"))

    def _apply_or_wait(self, build: _Build) -> float | None:
        wait = self._waits.get(build.name)
        if wait is not None and wait.fingerprint != build.packed.fingerprint:
            wait = None
        if wait is not None and build.name not in self._drifted:
            return self._check_health(build, wait)
        # Waiting does not restore what another client changed; the deadline stays the same.
        self._drifted.discard(build.name)
        self._waits.pop(build.name, None)
        return self._apply(build, wait.deadline if wait is not None else None)

    def _record_deletion(self, value: Object, pruned: list[PruneResult]) -> None:
        outcome = ReconcileOutcome.failed("Pruning", "the Kustomization is deleted")
        self._environment.record(AuditEvent("delete", ReconcileResult(ApplySet(value, "", ()), outcome, (), pruned)))

    def _build_context(self, build: _Build, should_write: bool = True) -> ReconcileContext:
        environment = self._environment
        return ReconcileContext(
            cluster=environment.cluster,
            verdict=build.packed.verdict,
            revision=build.revision,
            budget=environment.options.budget,
            approved_revision=prune_budget.read_approved_revision(build.value),
            should_write=should_write,
            stop_event=self._stop_event,
            record=environment.record,
        )

    def _apply(self, build: _Build, deadline: float | None) -> float | None:
        value = build.value
        reason = self._find_unready_dependency(build)
        if reason:
            outcome = ReconcileOutcome.failed("DependencyNotReady", reason)
            return self._report_blocked(value, outcome, DEPENDENCY_RETRY_SECONDS, build.revision)
        finalizer.add_finalizer(self._environment.cluster, value)
        is_report_only = get_field(value, ("metadata", "annotations", DRIFT_ANNOTATION)) == REPORT_ONLY
        if is_report_only and dependencies.is_applied_at(value, build.revision):
            return self._report_drift(build)
        context = self._build_context(build)
        begun = reconciler.begin_reconcile(context, build.unpack())
        self._environment.watch_entries(begun.entries)
        self._count_corrected_drift(build, begun.result)
        if not isinstance(begun, Waiting):
            return self._finish(value, begun.result)
        report = readiness.check_readiness(begun.target, begun.checks)
        if report.failure or not report.pending:
            return self._finish(value, reconciler.finish_reconcile(context, begun, report.failure))
        status_writer.write_progress(context, begun)
        deadline = deadline if deadline is not None else time.monotonic() + begun.timeout_seconds
        begun = replace(begun, checks=report.pending)
        wait = _HealthWait(begun, build.packed.fingerprint, deadline, 1)
        self._waits[build.name] = wait
        return wait.pause

    def _count_corrected_drift(self, build: _Build, result: ReconcileResult) -> None:
        if dependencies.get_last_applied(build.value) == build.revision:
            for change in result.changes:
                if change.action == "configure":
                    self._environment.metrics.corrected_drift.labels(change.value["kind"]).inc()

    def _report_drift(self, build: _Build) -> float:
        """Logs and reports what differs from Git, without changing it."""
        begun = reconciler.begin_reconcile(self._build_context(build, should_write=False), build.unpack())
        self._environment.watch_entries(begun.entries)
        message = "; ".join(status.describe_drift(begun.result.changes))
        if self._reported_drift.get(build.name, "") != message:
            self._reported_drift[build.name] = message
            if message:
                log_event("warning", message, controller=CONTROLLER, object=str(build.name), reason="DriftDetected")
                status_writer.report_drift(self._environment.cluster, build.value, message, build.revision)
        return _read_interval(build.value, "interval")

    def _check_health(self, build: _Build, wait: _HealthWait) -> float | None:
        report = readiness.check_readiness(wait.waiting.target, wait.waiting.checks)
        reason = report.failure
        if report.pending and not report.failure:
            if time.monotonic() < wait.deadline:
                waiting = replace(wait.waiting, checks=report.pending)
                self._waits[build.name] = wait._replace(waiting=waiting, looks=wait.looks + 1)
                return self._waits[build.name].pause
            reason = readiness.format_timeout(report, wait.waiting.timeout_seconds)
        self._waits.pop(build.name, None)
        result = reconciler.finish_reconcile(self._build_context(build), wait.waiting, reason)
        return self._finish(build.value, result)

    def _finish(self, value: Object, result: ReconcileResult) -> float:
        name, outcome = result.build.name, result.outcome
        # An outcome that repeats at every retry is logged once.
        if self._logged_outcomes.get(name) != outcome:
            self._logged_outcomes[name] = outcome
            level = "info" if outcome.is_ready else "error"
            log_event(level, outcome.message, controller=CONTROLLER, object=str(name), reason=outcome.reason)
        return _read_interval(value, "interval" if outcome.is_ready else "retryInterval")

    def _find_unready_dependency(self, build: _Build) -> str:
        """Which dependency is not ready, and why; empty if all are."""
        for dependency in dependencies.list_dependencies(build.value):
            other = self._environment.kustomizations.get(dependency.name)
            reason = dependencies.find_unready_reason(build.value, dependency, other, build.revision)
            if reason:
                return reason
        return ""

    def _report_blocked(
        self, value: Object, outcome: ReconcileOutcome, retry_after: float | None, revision: str = ""
    ) -> float | None:
        """Writes why a Kustomization is not reconciled, unless its status already has the reason."""
        ready = conditions.find_ready_condition(value)
        if (ready.get("reason"), ready.get("message")) != (outcome.reason, outcome.message):
            status_writer.write_refusal(self._environment.cluster, value, outcome, revision)
        return retry_after


def strip_kustomization(value: Object) -> Object:
    """The Kustomization without `managedFields` and inventory, which take much memory."""
    metadata = {key: field for key, field in value["metadata"].items() if key != "managedFields"}
    full, kept = value.get("status") or {}, ("conditions", "lastAppliedRevision", "lastHandledReconcileAt")
    return {**value, "metadata": metadata, "status": {key: full[key] for key in kept if key in full}}


def _read_interval(value: Object, field: str) -> float:
    """Seconds until the next reconcile, by `interval` or `retryInterval`, with some jitter."""
    fields = FieldReader(value["spec"])
    try:
        interval = fields.read_duration(field, 0.0) or fields.read_duration("interval", DEFAULT_INTERVAL_SECONDS)
    except FieldError:
        interval = DEFAULT_INTERVAL_SECONDS
    return interval * random.uniform(1 - JITTER, 1 + JITTER)
