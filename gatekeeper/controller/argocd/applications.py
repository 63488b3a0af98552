"""Applications in a cluster: held against Git, synced when that is due, and told of in their status."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Any

from gatekeeper.apply.inventory import InventoryEntry, entry_of
from gatekeeper.argocd import application_spec, permissions, resource_tracking, status
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.model import ComparedObject
from gatekeeper.argocd.sync import comparison, sync_options
from gatekeeper.cluster.dynamic_client import Object
from gatekeeper.controller.argocd import delete_hooks, finalizer, operation_runner, status_writer, sync_plan
from gatekeeper.controller.argocd.context import ApplicationContext, ArgoEnvironment
from gatekeeper.controller.argocd.source_cache import (
    REFRESH_ANNOTATION,
    PackedApplication,
    SourceSetCache,
    SourceSetKey,
    build_source_key,
)
from gatekeeper.controller.runtime.log import log_event
from gatekeeper.errors import SpecError, ToolError
from gatekeeper.kube.decoder import FieldError
from gatekeeper.kube.labels import read_labels
from gatekeeper.kube.objects import NamespacedName, name_of
from gatekeeper.model import get_field

SKIP_RECONCILE = "argocd.argoproj.io/skip-reconcile"
# How often all is compared although nothing was heard of; and where nothing can be heard of.
RESYNC_SECONDS, REMOTE_RESYNC_SECONDS = 600.0, 180.0
# What cannot be compared may be mended by what nobody here hears of.
RETRY_SECONDS = 60.0
JITTER = 0.1


class ApplicationReconciler:
    """What is known of all Applications.

    Args:
        dirty: is told of sources that must be asked, or rendered from anew.
        follow: is told what an Application is made of.
        known: what is marked as an Application's in the cluster.
    """

    def __init__(
        self,
        environment: ArgoEnvironment,
        get_application: Callable[[NamespacedName], Object | None],
        get_project: Callable[[NamespacedName], Object | None],
        source_cache: SourceSetCache,
        enqueue_source: Callable[[SourceSetKey], None],
        watch_entries: Callable[[Iterable[InventoryEntry]], None],
        list_managed: Callable[[str], list[InventoryEntry]],
    ) -> None:
        self._environment, self._get_application, self._get_project, self._source_cache = (
            environment,
            get_application,
            get_project,
            source_cache,
        )
        self._enqueue_source, self._watch_entries, self._list_managed = enqueue_source, watch_entries, list_managed
        self._comparisons: dict[NamespacedName, tuple[object, list[ComparedObject], float]] = {}
        self._drifted_names: set[NamespacedName] = set()
        self._refresh_started: dict[NamespacedName, float] = {}
        self._operation_runner = operation_runner.OperationRunner()
        self._last_logged: dict[NamespacedName, object] = {}

    def mark_drifted(self, name: NamespacedName) -> None:
        """Somebody has changed what an Application has applied."""
        self._drifted_names.add(name)

    def reconcile(self, name: NamespacedName) -> float | None:
        """Does with an Application what is to be done now.

        Raises:
            GateError: the cluster does not do it.
        """
        kept = self._get_application(name)
        kind = self._environment.cluster.find_newest_kind(
            application_spec.GROUP, application_spec.VERSIONS, "Application"
        )
        value = self._environment.cluster.get(kind, *name) if kept is not None and kind is not None else None
        if value is None:
            self._forget(name)
            return None
        if read_labels(value, "annotations").get(SKIP_RECONCILE) == "true":
            return None
        if get_field(value, ("metadata", "deletionTimestamp")):
            return self._finalize(name, value)
        ready = self._prepare_context(name, value)
        return self._compare_and_sync(*ready) if isinstance(ready, tuple) else ready

    def _finalize(self, name: NamespacedName, value: Object) -> float | None:
        """Goes on with the end of an Application; what hooks it has is known by what it renders."""
        if not delete_hooks.has_hook_finalizer(get_field(value, ("metadata", "finalizers")) or ()):
            self._forget(name)
            return finalizer.finalize_application(self._environment, value, self._get_project, self._list_managed, None)
        ready = self._prepare_context(name, value)
        if not isinstance(ready, tuple):
            return ready
        return finalizer.finalize_application(self._environment, value, self._get_project, self._list_managed, ready[0])

    def _prepare_context(self, name: NamespacedName, value: Object) -> tuple[ApplicationContext, object] | float | None:
        """An Application with all that counts for it, and what it was rendered from; or when it is looked at again."""
        try:
            application, key = self._parse_application(value)
        except (FieldError, SpecError) as error:
            return self._report_failure(value, {"InvalidSpecError": str(error)})
        is_requested = self._note_refresh_request(name, key, value)
        snapshot = self._source_cache.snapshot(key, name)
        state = snapshot.state
        is_fresh = not is_requested or snapshot.queried_at > self._refresh_started[name]
        if state is not None and state.fault and is_fresh:
            return self._report_failure(value, {"ComparisonError": state.fault})
        of = self._source_cache.compute_fingerprint(key, state, value) if state is not None else None
        if not is_fresh or state is None or snapshot.build is None or snapshot.is_stale(of):
            self._enqueue_source(key)
            return None
        try:
            case = self._build_context(value, application, snapshot.build)
        except (FieldError, SpecError, ToolError) as error:
            return self._report_failure(value, {"ComparisonError": str(error)})
        return case, [of, value["spec"]]

    def _forget(self, name: NamespacedName) -> None:
        for held in (self._comparisons, self._refresh_started, self._last_logged):
            held.pop(name, None)
        self._source_cache.forget_build(name)
        self._operation_runner.forget(name)

    def _note_refresh_request(self, name: NamespacedName, key: SourceSetKey, value: Object) -> bool:
        """Whether a refresh annotation asks for a query of the sources; the first look at it enqueues that query."""
        wish = read_labels(value, "annotations").get(REFRESH_ANNOTATION)
        if wish is None:
            self._refresh_started.pop(name, None)
            return False
        if name not in self._refresh_started:
            self._refresh_started[name] = time.monotonic()
            if wish == "hard":
                self._source_cache.forget_build(name)
            self._enqueue_source(key)
        return True

    def _parse_application(self, value: Object) -> tuple[Application, SourceSetKey]:
        application = application_spec.parse_application(value)
        return application, build_source_key(application)

    def _build_context(self, value: Object, application: Application, built: PackedApplication) -> ApplicationContext:
        """All that counts for an Application.

        Raises:
            FieldError, SpecError: something is not valid, or not permitted.
            ToolError: the cluster does not tell.
        """
        cluster, home = self._environment.cluster, self._environment.argocd_namespace
        let = permissions.resolve_permissions(
            cluster, home, application, self._get_project(NamespacedName(home, application.project))
        )
        asked = built.unpack(value, application)
        if asked.render_error:
            raise SpecError(asked.render_error)
        mark, app = self._environment.tracking, resource_tracking.format_instance_name(application, home)
        plain, hooks = comparison.prepare_objects(asked, let.target, let.project, mark, app)
        general = sync_options.parse_sync_options(application.sync_options, "the Application")
        return ApplicationContext(
            self._environment,
            value,
            application,
            let.target,
            mark,
            app,
            general,
            let.sync_windows,
            asked,
            built.verdict,
            plain,
            status.select_hooks(hooks),
        )

    def _compare_and_sync(self, context: ApplicationContext, fingerprint: object) -> float | None:
        name = context.name
        held = self._comparisons.get(name)
        is_drifted = name in self._drifted_names
        self._drifted_names.discard(name)
        is_late = held is None or time.monotonic() > held[2]
        is_running = self._operation_runner.is_running(context.manifest)
        is_asked = not self._operation_runner.has_plan(name) if is_running else bool(context.manifest.get("operation"))
        try:
            if (
                held is None
                or held[0] != fingerprint
                or is_drifted
                or is_late
                or is_asked
                or name in self._refresh_started
            ):
                items = self._compare_items(context)
                self._comparisons[name] = fingerprint, items, time.monotonic() + _compute_resync_delay(context)
            else:
                items = comparison.refresh_health(context.target.cluster, held[1], context.tracking.health_scripts)
                self._comparisons[name] = held[0], items, held[2]
            if context.target.is_in_cluster:
                self._watch_entries(one.entry for one in items)
            context, after = self._operation_runner.continue_operation(context, items)
        except (SpecError, FieldError) as error:
            return self._report_failure(context.manifest, {"ComparisonError": str(error)})
        if after.is_done:
            items = self._refresh_items(context, items, after)
            self._comparisons[name] = fingerprint, items, time.monotonic() + _compute_resync_delay(context)
        self._write_status(context, items, after)
        soon = self._comparisons[name][2] - time.monotonic()
        return min(soon, after.requeue_seconds) if after.requeue_seconds is not None else soon

    def _refresh_items(
        self, context: ApplicationContext, items: list[ComparedObject], progress: operation_runner.OperationProgress
    ) -> list[ComparedObject]:
        """What there is after a sync: after one that failed all is compared."""
        state = progress.status["operationState"]
        if state["phase"] != "Succeeded" or not progress.is_current:
            return self._compare_items(context)
        return comparison.settle_objects(
            context.target.cluster, items, status.parse_results(state), context.tracking.health_scripts
        )

    def _compare_items(self, context: ApplicationContext) -> list[ComparedObject]:
        before = comparison.list_tracked_entries(
            context.manifest, self._list_managed(context.instance_name) if context.target.is_in_cluster else ()
        )
        method = comparison.build_apply_policy(context.build, context.options)
        space = sync_plan.build_namespace(context)
        wanted = [*context.resources, *space]
        items = comparison.compare_objects(
            context.target, wanted, before, method, context.tracking, context.instance_name
        )
        own = {one["metadata"]["name"] for one in space}
        return [one for one in items if not (one.entry.kind == "Namespace" and one.entry.name in own)]

    def _write_status(
        self, context: ApplicationContext, items: list[ComparedObject], progress: operation_runner.OperationProgress
    ) -> None:
        """Writes what there is of an Application, if that is another than before."""
        hooks = [(entry_of(one), one) for one in context.hooks if one["metadata"].get("name")]
        now = status.build_comparison(context.build, items, hooks)
        value, moment = context.manifest, time.time()
        state = now["health"]["status"]
        if get_field(value, ("status", "health", "status")) != state:
            self._environment.metrics.health_changes.labels(state).inc()
        # Also where nothing is to be done: what is there would not be let in any more.
        refused = sync_plan.find_gate_refusal(context)
        own = {**({"Refused": refused} if refused else {}), **progress.conditions}
        now |= {"conditions": status.build_conditions(value, own, moment), **progress.status}
        now["controllerNamespace"] = self._environment.argocd_namespace
        wish = REFRESH_ANNOTATION if context.name in self._refresh_started else ""
        status_writer.write_status(
            self._environment.cluster, value, now, moment, wish, delete_hooks.resolve_finalizers(context)
        )
        self._refresh_started.pop(context.name, None)
        self._log_once(context.name, (now["sync"]["status"], state, *own.values()), own)

    def _report_failure(self, value: Object, conditions: dict[str, str]) -> float | None:
        """Says why an Application is not compared, if that is not said already."""
        moment, name = time.time(), name_of(value)
        now: dict[str, Any] = status.build_unknown_status(value)
        now["conditions"] = status.build_conditions(value, conditions, moment)
        state = get_field(value, ("status", "operationState")) or {}
        if value.get("operation") and state.get("phase") not in ("Running", "Terminating"):
            now["operationState"] = status_writer.build_failed_operation_state(
                value, next(iter(conditions.values())), moment
            )
        status_writer.write_status(
            self._environment.cluster, value, now, moment, REFRESH_ANNOTATION if name in self._refresh_started else ""
        )
        self._refresh_started.pop(name, None)
        self._log_once(name, tuple(conditions.values()), conditions)
        return RETRY_SECONDS * random.uniform(1 - JITTER, 1 + JITTER)

    def _log_once(self, name: NamespacedName, summary: object, conditions: dict[str, str]) -> None:
        """Says once what came of an Application."""
        if self._last_logged.get(name) == summary:
            return
        self._last_logged[name] = summary
        words = "; ".join(conditions.values()) or ", ".join(map(str, summary if isinstance(summary, tuple) else ()))
        log_event(
            "error" if conditions else "info",
            words,
            controller="Application",
            object="/".join(name),
            reason=next(iter(conditions), "Compared"),
        )


def _compute_resync_delay(context: ApplicationContext) -> float:
    return (RESYNC_SECONDS if context.target.is_in_cluster else REMOTE_RESYNC_SECONDS) * random.uniform(
        1 - JITTER, 1 + JITTER
    )
