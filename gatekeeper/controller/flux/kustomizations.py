"""Kustomizations in a cluster: applied when they are due, waited for without holding anybody up, and taken away."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.model import ApplySet, AuditEvent, ReconcileContext, ReconcileOutcome, ReconcileResult
from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.apply.server_side_apply import PruneResult
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.cluster.reflector import NamespacedName
from gatekeeper.controller.flux.git_repositories import GitRepositoryCache, RepositorySnapshot
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.flux import finalizer, health_expressions, readiness, reconciler, status_writer
from gatekeeper.flux import status as flux_status
from gatekeeper.flux.model import PendingReconcile
from gatekeeper.kube import conditions
from gatekeeper.kube.decoder import FieldError, FieldReader
from gatekeeper.model import get_field

DEFAULT_INTERVAL_SECONDS, DEPENDENCY_RETRY_SECONDS = 60.0, 30.0
JITTER = 0.05
FIRST_POLL_SECONDS, MAX_POLL_SECONDS = 0.1, 2.0
# The revision for which somebody lets more be deleted than the budget does.
APPROVED_REVISION = "gatekeeper-gitops.io/approved-revision"
# What becomes of what somebody else has changed: it is healed, or with this word told only.
DRIFT_ANNOTATION, REPORT_ONLY = "gatekeeper-gitops.io/drift", "report"


class WaitingKustomization(NamedTuple):
    """A Kustomization that is applied, and waited for.

    Attributes:
        fingerprint: what it was rendered from: what is new ends the waiting.
        deadline: of the monotonic clock.
        poll_seconds: seconds until the next look, where nothing happens before.
    """

    pending: PendingReconcile
    fingerprint: object
    deadline: float
    poll_seconds: float


class KustomizationReconciler:
    """What is known of all Kustomizations.

    Args:
        dirty: is told of a source of which something must be rendered anew.
        follow: is told what was applied.
        note: see `Round.note`.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        get_kustomization: Callable[[NamespacedName], Object | None],
        repository_cache: GitRepositoryCache,
        has_source: Callable[[NamespacedName], bool],
        enqueue_source: Callable[[NamespacedName], None],
        watch_entries: Callable[[list[InventoryEntry]], None],
        record: Callable[[AuditEvent], None],
        budget: PruneBudget,
        metrics: Metrics,
    ) -> None:
        self._cluster, self._get_kustomization, self._repository_cache, self._has_source = (
            cluster,
            get_kustomization,
            repository_cache,
            has_source,
        )
        self._enqueue_source, self._watch_entries, self._record, self._budget = (
            enqueue_source,
            watch_entries,
            record,
            budget,
        )
        self._metrics = metrics
        self._waiting: dict[NamespacedName, WaitingKustomization] = {}
        self._drifted_names: set[NamespacedName] = set()
        self._last_logged: dict[NamespacedName, ReconcileOutcome] = {}
        self._last_drift_reports: dict[NamespacedName, str] = {}
        self._stop_event = threading.Event()

    def is_waiting(self, name: NamespacedName) -> bool:
        """Whether it is waited for what a Kustomization has applied."""
        return name in self._waiting

    def mark_drifted(self, name: NamespacedName) -> None:
        """Somebody else has changed what a Kustomization has applied: it is applied again, waited for or not."""
        self._drifted_names.add(name)

    def reconcile(self, name: NamespacedName) -> float | None:
        """Does with a Kustomization what is to be done now.

        Raises:
            GateError: the cluster does not do it.
        """
        value = self._get_kustomization(name)
        if value is None:
            self._waiting.pop(name, None)
            self._repository_cache.forget_kustomization(name)
            self._last_logged.pop(name, None)
            self._last_drift_reports.pop(name, None)
            return None
        if get_field(value, ("metadata", "deletionTimestamp")):
            return finalizer.finalize_kustomization(self._cluster, value, partial(self._record_deletion, value))
        if get_field(value, ("spec", "suspend")):
            self._waiting.pop(name, None)
            return None
        source = resolve_source(value)
        if source is None:
            message = f"sources of kind {get_field(value, ('spec', 'sourceRef', 'kind'))} are not supported"
            return self._report_blocked(value, ReconcileOutcome(False, "ArtifactFailed", message), None)
        snapshot = self._repository_cache.snapshot(source, name)
        if snapshot is None:
            if self._has_source(source):
                # Its source will say when there is something.
                return None
            message = f"GitRepository {'/'.join(source)} not found"
            return self._report_blocked(
                value, ReconcileOutcome(False, "ArtifactFailed", message), _read_interval(value, "retryInterval")
            )
        of = self._repository_cache.compute_fingerprint(snapshot.state, value)
        if snapshot.is_stale(of):
            self._enqueue_source(source)
            return None
        waiting_ = self._waiting.get(name)
        if waiting_ is not None and waiting_.fingerprint != of:
            waiting_ = None
        if waiting_ is not None and name not in self._drifted_names:
            return self._check_health(name, value, snapshot, waiting_)
        # What somebody has changed meanwhile would never come by waiting; the time for it stays the same.
        self._drifted_names.discard(name)
        self._waiting.pop(name, None)
        return self._apply(name, value, snapshot, of, waiting_.deadline if waiting_ is not None else None)

    def _record_deletion(self, value: Object, pruned: list[PruneResult]) -> None:
        outcome = ReconcileOutcome(False, "Pruning", "the Kustomization is deleted")
        self._record(AuditEvent("delete", ReconcileResult(ApplySet(value, "", ()), outcome, (), pruned)))

    def _build_context(self, value: Object, snapshot: RepositorySnapshot) -> ReconcileContext:
        assert snapshot.build is not None
        approved = str(get_field(value, ("metadata", "annotations", APPROVED_REVISION)) or "")
        return ReconcileContext(
            self._cluster,
            snapshot.build.verdict,
            str(snapshot.state.revision),
            self._budget,
            approved,
            True,
            self._stop_event,
            self._record,
        )

    def _apply(
        self,
        name: NamespacedName,
        value: Object,
        snapshot: RepositorySnapshot,
        fingerprint: object,
        deadline: float | None,
    ) -> float | None:
        assert snapshot.build is not None
        round_ = self._build_context(value, snapshot)
        late = self._find_unready_dependency(value, resolve_source(value), round_.revision)
        if late:
            return self._report_blocked(
                value, ReconcileOutcome(False, "DependencyNotReady", late), DEPENDENCY_RETRY_SECONDS, round_.revision
            )
        finalizer.add_finalizer(self._cluster, value)
        if get_field(value, ("metadata", "annotations", DRIFT_ANNOTATION)) == REPORT_ONLY and _is_applied_at(
            value, round_.revision
        ):
            return self._report_drift(name, value, round_, snapshot.build.build)
        begun = reconciler.begin_reconcile(round_, snapshot.build.build)
        self._watch_entries(list(begun.entries))
        for change in begun.result.changes:
            if change.action == "configure" and get_field(value, ("status", "lastAppliedRevision")) == round_.revision:
                self._metrics.corrected_drift.labels(change.value["kind"]).inc()
        if not begun.checks:
            return self._finish(value, begun.result)
        look = readiness.check_readiness(begun.target, begun.checks)
        if look.failure or not look.pending:
            return self._finish(value, reconciler.finish_reconcile(round_, begun, look.failure))
        status_writer.write_progress(round_, begun)
        begun = begun._replace(checks=look.pending)
        end = deadline if deadline is not None else time.monotonic() + begun.timeout_seconds
        self._waiting[name] = WaitingKustomization(begun, fingerprint, end, FIRST_POLL_SECONDS)
        return FIRST_POLL_SECONDS

    def _report_drift(
        self, name: NamespacedName, value: Object, context: ReconcileContext, build: KustomizationBuild
    ) -> float:
        """Tells what differs, and changes nothing."""
        begun = reconciler.begin_reconcile(context._replace(should_write=False), build)
        self._watch_entries(list(begun.entries))
        lines = flux_status.describe_drift(begun.result.changes)
        message = "; ".join(lines)
        if self._last_drift_reports.get(name, "") != message:
            self._last_drift_reports[name] = message
            if lines:
                log_event("warning", message, controller="Kustomization", object="/".join(name), reason="DriftDetected")
                status_writer.report_drift(self._cluster, value, message, context.revision)
        return _read_interval(value, "interval")

    def _check_health(
        self, name: NamespacedName, value: Object, snapshot: RepositorySnapshot, pending_check: WaitingKustomization
    ) -> float | None:
        begun = pending_check.pending
        look = readiness.check_readiness(begun.target, begun.checks)
        reason = look.failure
        if look.pending and not look.failure:
            if time.monotonic() < pending_check.deadline:
                pause = min(MAX_POLL_SECONDS, pending_check.poll_seconds * 1.5)
                self._waiting[name] = pending_check._replace(
                    pending=begun._replace(checks=look.pending), poll_seconds=pause
                )
                return pending_check.poll_seconds
            reason = readiness.format_timeout(look, begun.timeout_seconds)
        self._waiting.pop(name, None)
        return self._finish(value, reconciler.finish_reconcile(self._build_context(value, snapshot), begun, reason))

    def _finish(self, value: Object, result: ReconcileResult) -> float:
        name, came = result.build.name, result.outcome
        # What is tried again and again is said once.
        if self._last_logged.get(name) != came:
            self._last_logged[name] = came
            log_event(
                "info" if came.is_ready else "error",
                came.message,
                controller="Kustomization",
                object="/".join(name),
                reason=came.reason,
            )
        return _read_interval(value, "interval" if result.outcome.is_ready else "retryInterval")

    def _find_unready_dependency(self, value: Object, source: NamespacedName | None, revision: str) -> str:
        """Which dependency is not ready, and why; empty where all are."""
        own = value["metadata"]["namespace"]
        for one in get_field(value, ("spec", "dependsOn")) or ():
            name = (one.get("namespace") or own, one["name"])
            other = self._get_kustomization(name)
            if other is None:
                return f"dependency '{'/'.join(name)}' is not there"
            if one.get("readyExpr"):
                reason = health_expressions.find_unready_reason(one["readyExpr"], value, other)
                if reason:
                    return f"dependency '{'/'.join(name)}' is not ready: {reason}"
                continue
            ready, generation = conditions.find_ready_condition(other), get_field(other, ("metadata", "generation"))
            if ready.get("status") != "True" or ready.get("observedGeneration") != generation:
                return f"dependency '{'/'.join(name)}' is not ready"
            if resolve_source(other) == source and get_field(other, ("status", "lastAppliedRevision")) != revision:
                return f"dependency '{'/'.join(name)}' is not at revision {revision} yet"
        return ""

    def _report_blocked(
        self, value: Object, outcome: ReconcileOutcome, retry_after: float | None, revision: str = ""
    ) -> float | None:
        """Says why a Kustomization is not worked on, if that is not said already."""
        ready = conditions.find_ready_condition(value)
        if (ready.get("reason"), ready.get("message")) != (outcome.reason, outcome.message):
            status_writer.write_refusal(self._cluster, value, outcome, revision)
        return retry_after


def resolve_source(value: Object) -> NamespacedName | None:
    """The GitRepository that a Kustomization names; None where it names another kind."""
    ref = get_field(value, ("spec", "sourceRef")) or {}
    if ref.get("kind") != "GitRepository":
        return None
    return ref.get("namespace") or value["metadata"]["namespace"], str(ref.get("name"))


def _is_applied_at(value: Object, revision: str) -> bool:
    """Whether a Kustomization is as it was when this revision was applied."""
    ready, generation = conditions.find_ready_condition(value), get_field(value, ("metadata", "generation"))
    is_applied = get_field(value, ("status", "lastAppliedRevision")) == revision
    return is_applied and ready.get("status") == "True" and ready.get("observedGeneration") == generation


def strip_kustomization(value: Object) -> Object:
    """What of a Kustomization is kept: not what it has applied, of which there is much."""
    metadata = {key: held for key, held in value["metadata"].items() if key != "managedFields"}
    status = value.get("status") or {}
    few = {key: status[key] for key in ("conditions", "lastAppliedRevision", "lastHandledReconcileAt") if key in status}
    return {**value, "metadata": metadata, "status": few}


def _read_interval(value: Object, field: str) -> float:
    fields = FieldReader(value["spec"])
    try:
        found = fields.read_duration(field, 0.0) or fields.read_duration("interval", DEFAULT_INTERVAL_SECONDS)
    except FieldError:
        found = DEFAULT_INTERVAL_SECONDS
    return found * random.uniform(1 - JITTER, 1 + JITTER)
