"""Reconciles Applications: compares them with Git, runs their operations and writes their status."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from gatekeeper.apply.inventory import entry_of
from gatekeeper.argocd import application_spec, permissions, resource_tracking, status
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.model import ComparedObject
from gatekeeper.argocd.resource_tracking import ComparisonTarget
from gatekeeper.argocd.sync import comparison, operation
from gatekeeper.argocd.sync.sync_options import parse_sync_options
from gatekeeper.controller.argocd import delete_hooks, finalizer, status_writer, sync_plan
from gatekeeper.controller.argocd.application_comparison import (
    Comparison,
    compare_after_sync,
    compare_application,
    compute_expiry,
)
from gatekeeper.controller.argocd.context import ApplicationContext, ArgoEnvironment
from gatekeeper.controller.argocd.operation_runner import OperationProgress, OperationRunner
from gatekeeper.controller.argocd.source_cache import (
    REFRESH_ANNOTATION,
    PackedApplication,
    SourceSetCache,
    SourceSetKey,
    build_source_key,
)
from gatekeeper.controller.argocd.status_writer import MetadataChange
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.errors import SpecError, ToolError
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import NamespacedName, Object, get_field, name_of, read_labels
from gatekeeper.named_tuple import NamedTuple

SKIP_RECONCILE = "argocd.argoproj.io/skip-reconcile"
# An error may be fixed by a change that this controller does not watch.
RETRY_SECONDS = 60.0
JITTER = 0.1


class ReadyApplication(NamedTuple):
    """An Application that can be compared.

    Attributes:
        fingerprint: what the comparison depends on; another fingerprint needs a new comparison.
    """

    context: ApplicationContext
    fingerprint: object


class NotReady(NamedTuple):
    """An Application that cannot be compared now.

    Attributes:
        requeue_seconds: seconds until the next try; None to wait until its sources are refreshed.
    """

    requeue_seconds: float | None


class ApplicationReconciler:
    """Reconciles all Applications.

    Args:
        get_application: returns an Application as the reflector keeps it.
        enqueue_source: requests a refresh of a source set.
    """

    def __init__(
        self,
        environment: ArgoEnvironment,
        get_application: Callable[[NamespacedName], Object | None],
        source_cache: SourceSetCache,
        enqueue_source: Callable[[SourceSetKey], None],
    ) -> None:
        self._environment, self._get_application = environment, get_application
        self._source_cache, self._enqueue_source = source_cache, enqueue_source
        self._operation_runner = OperationRunner()
        self._comparisons: dict[NamespacedName, Comparison] = {}
        self._drifted_names: set[NamespacedName] = set()
        # When the refresh that an annotation requests was first seen, by the monotonic clock.
        self._refresh_started: dict[NamespacedName, float] = {}
        self._last_logged: dict[NamespacedName, object] = {}

    def mark_drifted(self, name: NamespacedName) -> None:
        """Make the next reconcile compare all objects of an Application."""
        self._drifted_names.add(name)

    def reconcile(self, name: NamespacedName) -> float | None:
        """Reconcile one Application.

        Returns:
            Seconds until the next reconcile; None to wait for a change.

        Raises:
            ToolError: the cluster does not answer, or refuses a change.
        """
        cluster = self._environment.cluster
        kind = cluster.find_newest_kind(application_spec.GROUP, application_spec.VERSIONS, "Application")
        is_watched = self._get_application(name) is not None
        value = cluster.get(kind, *name) if is_watched and kind is not None else None
        if value is None:
            self._forget(name)
            return None
        if read_labels(value, "annotations").get(SKIP_RECONCILE) == "true":
            return None
        if get_field(value, ("metadata", "deletionTimestamp")):
            return self._finalize(name, value)
        prepared = self._prepare(name, value)
        return prepared.requeue_seconds if isinstance(prepared, NotReady) else self._compare_and_sync(prepared)

    def _finalize(self, name: NamespacedName, value: Object) -> float | None:
        """Continue the deletion of an Application; its hooks are known only once its sources are rendered."""
        if not delete_hooks.has_hook_finalizer(get_field(value, ("metadata", "finalizers")) or ()):
            self._forget(name)
            return finalizer.finalize_application(self._environment, value, None)
        prepared = self._prepare(name, value)
        if isinstance(prepared, NotReady):
            return prepared.requeue_seconds
        return finalizer.finalize_application(self._environment, value, prepared.context)

    def _forget(self, name: NamespacedName) -> None:
        self._comparisons.pop(name, None)
        self._refresh_started.pop(name, None)
        self._last_logged.pop(name, None)
        self._source_cache.builds.forget_build(name)
        self._operation_runner.forget(name)

    def _prepare(self, name: NamespacedName, value: Object) -> ReadyApplication | NotReady:
        """Decode an Application and look up its build; if that is stale, request a refresh of its sources."""
        try:
            application = application_spec.parse_application(value)
        except (FieldError, SpecError) as error:
            return self._report_failure(value, "InvalidSpecError", str(error))
        key = build_source_key(application)
        refresh_started = self._note_refresh_request(name, key, value)
        snapshot = self._source_cache.builds.snapshot(key, name)
        if snapshot is None or (refresh_started is not None and snapshot.state.queried_at <= refresh_started):
            self._enqueue_source(key)
            return NotReady(None)
        if snapshot.state.fault:
            return self._report_failure(value, "ComparisonError", snapshot.state.fault)
        fingerprint = self._source_cache.compute_fingerprint(key, snapshot.state, value)
        if snapshot.build is None or snapshot.is_stale(fingerprint):
            self._enqueue_source(key)
            return NotReady(None)
        try:
            context = self._build_context(value, application, snapshot.build)
        except (FieldError, SpecError, ToolError) as error:
            return self._report_failure(value, "ComparisonError", str(error))
        return ReadyApplication(context, [fingerprint, value["spec"]])

    def _note_refresh_request(self, name: NamespacedName, key: SourceSetKey, value: Object) -> float | None:
        """Return when the requested refresh was first seen; None if none is requested. A new one is enqueued."""
        refresh_type = read_labels(value, "annotations").get(REFRESH_ANNOTATION)
        if refresh_type is None:
            self._refresh_started.pop(name, None)
            return None
        if name not in self._refresh_started:
            self._refresh_started[name] = time.monotonic()
            if refresh_type == "hard":
                self._source_cache.builds.forget_build(name)
            self._enqueue_source(key)
        return self._refresh_started[name]

    def _build_context(self, value: Object, application: Application, packed: PackedApplication) -> ApplicationContext:
        """Build the context of an Application.

        Raises:
            FieldError, SpecError: the Application or its project is invalid, or the project does not permit it.
            ToolError: the cluster does not answer.
        """
        environment, home = self._environment, self._environment.argocd_namespace
        project = environment.get_project(NamespacedName(home, application.project))
        permitted = permissions.resolve_permissions(environment.cluster, home, application, project)
        build = packed.unpack(value, application)
        if build.render_error:
            raise SpecError(build.render_error)
        instance_name = resource_tracking.format_instance_name(application, home)
        target = ComparisonTarget(permitted.target, environment.tracking, instance_name)
        desired = comparison.prepare_objects(build, target, permitted.project)
        return ApplicationContext(
            environment=environment,
            manifest=value,
            application=application,
            target=target,
            options=parse_sync_options(application.sync_options, "the Application"),
            sync_windows=permitted.sync_windows,
            build=build,
            verdict=packed.verdict,
            resources=desired.resources,
            hooks=status.select_hooks(desired.hooks),
        )

    def _compare_and_sync(self, ready: ReadyApplication) -> float | None:
        context, name = ready.context, ready.context.name
        try:
            compared = self._get_comparison(ready)
            if context.is_in_cluster:
                self._environment.watch_entries(item.entry for item in compared.objects)
            progress = self._operation_runner.continue_operation(context, compared.objects)
        except (SpecError, FieldError) as error:
            return self._report_failure(context.manifest, "ComparisonError", str(error)).requeue_seconds
        if progress.is_done:
            objects = compare_after_sync(progress, compared.objects)
            compared = Comparison(ready.fingerprint, objects, compute_expiry(context))
        self._comparisons[name] = compared
        self._write_status(compared.objects, progress)
        seconds = compared.expires_at - time.monotonic()
        return min(seconds, progress.requeue_seconds) if progress.requeue_seconds is not None else seconds

    def _get_comparison(self, ready: ReadyApplication) -> Comparison:
        """Compare an Application, or refresh the health in its last comparison if that is current."""
        context, name = ready.context, ready.context.name
        last = self._comparisons.get(name)
        is_drifted = name in self._drifted_names
        self._drifted_names.discard(name)
        is_requested = name in self._refresh_started or self._operation_runner.needs_comparison(context.manifest)
        if last is None or is_drifted or is_requested or not last.is_current(ready.fingerprint):
            compared = Comparison(ready.fingerprint, compare_application(context), compute_expiry(context))
        else:
            scripts = context.target.tracking.health_scripts
            compared = last._replace(
                objects=comparison.refresh_health(context.destination_client, last.objects, scripts)
            )
        self._comparisons[name] = compared
        return compared

    def _write_status(self, objects: Sequence[ComparedObject], progress: OperationProgress) -> None:
        """Write the status of a compared Application, if it has changed."""
        context, now = progress.context, time.time()
        hooks = [(entry_of(hook), hook) for hook in context.hooks if hook["metadata"].get("name")]
        new_status = status.build_comparison(context.build, objects, hooks)
        health = new_status["health"]["status"]
        if get_field(context.manifest, ("status", "health", "status")) != health:
            self._environment.metrics.health_changes.labels(health).inc()
        # Reported also if there is nothing to sync: the gate would refuse the current state.
        refusal = sync_plan.find_gate_refusal(context)
        conditions = {**({"Refused": refusal} if refusal else {}), **progress.conditions}
        new_status["conditions"] = status.build_conditions(context.manifest, conditions, now)
        new_status["controllerNamespace"] = self._environment.argocd_namespace
        if progress.state is not None:
            new_status["operationState"] = progress.state.to_status()
        if progress.history is not None:
            new_status["history"] = progress.history
        self._write(context.manifest, new_status, now, delete_hooks.resolve_finalizers(context))
        summary = new_status["sync"]["status"], health
        self._log_once(context.name, conditions, ", ".join(summary))

    def _report_failure(self, value: Object, condition_type: str, message: str) -> NotReady:
        """Write the status of an Application that cannot be compared; a requested operation fails with it."""
        now, name = time.time(), name_of(value)
        conditions = {condition_type: message}
        new_status = status.build_unknown_status(value)
        new_status["conditions"] = status.build_conditions(value, conditions, now)
        requested, state = value.get("operation"), operation.parse_operation_state(value)
        if requested and not (state is not None and state.is_running):
            failed = operation.fail_operation(operation.parse_request(requested), message, now)
            new_status["operationState"] = failed.to_status()
        self._write(value, new_status, now, None)
        self._log_once(name, conditions, "")
        return NotReady(RETRY_SECONDS * random.uniform(1 - JITTER, 1 + JITTER))

    def _write(self, value: Object, new_status: status.StatusFields, now: float, finalizers: list[str] | None) -> None:
        """Write a status, and remove the refresh annotation that it answers."""
        name = name_of(value)
        annotation = REFRESH_ANNOTATION if name in self._refresh_started else ""
        change = MetadataChange(annotation, finalizers)
        status_writer.write_status(self._environment.cluster, value, new_status, now, change)
        self._refresh_started.pop(name, None)

    def _log_once(self, name: NamespacedName, conditions: dict[str, str], summary: str) -> None:
        """Log the outcome of a reconcile, if it changed."""
        outcome = (summary, *conditions.values())
        if self._last_logged.get(name) == outcome:
            return
        self._last_logged[name] = outcome
        log_event(
            "error" if conditions else "info",
            "; ".join(conditions.values()) or summary,
            controller="Application",
            object=str(name),
            reason=next(iter(conditions), "Compared"),
        )
