"""Finalizer of an Application: deletes what it has applied, the last wave first, and then lets it go.

Source: argo-cd `docs/user-guide/app_deletion.md`, `controller/appcontroller.go` (`finalizeApplicationDeletion`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import Enum

from gatekeeper.apply import prune
from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.argocd import app_project, application_spec, destination, resource_tracking
from gatekeeper.argocd import status as argocd_status
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.sync import comparison, sync_tasks
from gatekeeper.argocd.sync.sync_options import SyncOptions, parse_sync_options
from gatekeeper.cluster.dynamic_client import DynamicClient, Propagation
from gatekeeper.controller.argocd import delete_hooks, status_writer
from gatekeeper.controller.argocd.application_events import record_deletion
from gatekeeper.controller.argocd.context import ApplicationContext, ArgoEnvironment
from gatekeeper.controller.argocd.sync_plan import is_deletion_confirmed
from gatekeeper.errors import SpecError, ToolError
from gatekeeper.kube.decoder import FieldError
from gatekeeper.model import NamespacedName, Object, get_field

RESOURCES_FINALIZER = "resources-finalizer.argocd.argoproj.io"
PROPAGATION_BY_FINALIZER: dict[str, Propagation] = {
    RESOURCES_FINALIZER: "Foreground",
    f"{RESOURCES_FINALIZER}/foreground": "Foreground",
    f"{RESOURCES_FINALIZER}/background": "Background",
}
RECHECK_SECONDS = 1.0
LiveEntry = tuple[InventoryEntry, Object]


class DeletionProgress(Enum):
    """How far one part of the deletion is."""

    DONE = "done"
    IN_PROGRESS = "in progress"
    # A user must confirm it by an annotation, whose change triggers the next reconcile.
    AWAITING_CONFIRMATION = "awaiting confirmation"


def finalize_application(
    environment: ArgoEnvironment, value: Object, context: ApplicationContext | None
) -> float | None:
    """Continue the deletion of an Application.

    Args:
        context: None if the Application has no hooks to run.

    Returns:
        Seconds until the next step; None if it is done, or waits for a user.

    Raises:
        ToolError: a hook failed, an object cannot be deleted, or the cluster does not answer.
    """
    finalizers = [str(name) for name in get_field(value, ("metadata", "finalizers")) or ()]
    own_finalizers = [name for name in finalizers if name in PROPAGATION_BY_FINALIZER]
    try:
        progress = _run_delete_hooks(environment, value, context, delete_hooks.PRE_DELETE)
        if progress is DeletionProgress.DONE and own_finalizers:
            progress = _delete_next_wave(environment, value, PROPAGATION_BY_FINALIZER[own_finalizers[0]])
        if progress is DeletionProgress.DONE:
            value = _remove_finalizers(environment, value, own_finalizers)
            progress = _run_delete_hooks(environment, value, context, delete_hooks.POST_DELETE)
    except (FieldError, SpecError, ToolError) as error:
        finalizer = next(iter(own_finalizers or finalizers), "")
        message = f"cannot finish the deletion: {error}; fix this, or remove the finalizer {finalizer}"
        _write_deletion_error(environment, value, message)
        raise ToolError(str(error)) from None
    return RECHECK_SECONDS if progress is DeletionProgress.IN_PROGRESS else None


def _run_delete_hooks(
    environment: ArgoEnvironment, value: Object, context: ApplicationContext | None, hook_type: str
) -> DeletionProgress:
    """Continue the hooks of a type; done when they have finished and their finalizers are removed."""
    run_finalizer = delete_hooks.HOOK_FINALIZERS[hook_type]
    cleanup_finalizer = f"{run_finalizer}{delete_hooks.CLEANUP_SUFFIX}"
    finalizers = get_field(value, ("metadata", "finalizers")) or ()
    if context is None or not {run_finalizer, cleanup_finalizer} & set(finalizers):
        return DeletionProgress.DONE
    if run_finalizer not in finalizers:
        delete_hooks.delete_succeeded_hooks(context, hook_type)
        _remove_finalizers(environment, value, [cleanup_finalizer])
    elif delete_hooks.run_hooks(context, hook_type):
        _remove_finalizers(environment, value, [run_finalizer])
    # The next step reads the Application again.
    return DeletionProgress.IN_PROGRESS


def _remove_finalizers(environment: ArgoEnvironment, value: Object, finalizers: Sequence[str]) -> Object:
    """Remove finalizers; return the Application as it is then."""
    current = get_field(value, ("metadata", "finalizers")) or []
    remaining = [name for name in current if name not in finalizers]
    kind = environment.cluster.find_newest_kind(application_spec.GROUP, application_spec.VERSIONS, "Application")
    if kind is None or remaining == current:
        return value
    return environment.cluster.patch(kind, value, {"metadata": {"finalizers": remaining}})


def _delete_next_wave(environment: ArgoEnvironment, value: Object, propagation: Propagation) -> DeletionProgress:
    """Delete the last wave of the remaining objects; done when there are none."""
    application = application_spec.parse_application(value)
    options = parse_sync_options(application.sync_options, "the Application")
    cluster, objects = _list_applied_objects(environment, value, application)
    for entry, live in objects:
        if _is_awaiting_confirmation(value, options, live):
            message = f"{entry} is only deleted after confirmation (`Delete=confirm`)"
            _write_deletion_error(environment, value, message)
            return DeletionProgress.AWAITING_CONFIRMATION
    deletable = [(entry, live) for entry, live in objects if options.for_object(live).get("Delete") != "false"]
    if not deletable:
        return DeletionProgress.DONE
    last_wave = max(sync_tasks.wave_of(live) for _, live in deletable)
    wave = [(entry, live) for entry, live in deletable if sync_tasks.wave_of(live) == last_wave]
    _delete_objects(environment, value, cluster, wave, propagation)
    return DeletionProgress.IN_PROGRESS


def _list_applied_objects(
    environment: ArgoEnvironment, value: Object, application: Application
) -> tuple[DynamicClient, list[LiveEntry]]:
    """List the live objects that an Application tracks, with the client to delete them with."""
    target = destination.resolve_cluster(
        environment.cluster, environment.argocd_namespace, application.destination, application.project
    )
    project = environment.get_project(NamespacedName(environment.argocd_namespace, application.project))
    user = app_project.find_service_account(project, target.destination) if project is not None else ""
    cluster = target.cluster.impersonate(user) if user else target.cluster
    instance_name = resource_tracking.format_instance_name(application, environment.argocd_namespace)
    marked = environment.list_managed(instance_name) if target.is_in_cluster else ()
    objects = []
    for entry in comparison.list_tracked_entries(value, marked):
        live = comparison.get_object(cluster, entry)
        if live is not None and resource_tracking.find_owner(environment.tracking, live) == instance_name:
            objects.append((entry, live))
    return cluster, objects


def _delete_objects(
    environment: ArgoEnvironment,
    value: Object,
    cluster: DynamicClient,
    objects: Sequence[LiveEntry],
    propagation: Propagation,
) -> None:
    tasks = sync_tasks.sort_tasks(
        sync_tasks.build_prune_task(entry)
        for entry, live in objects
        if not get_field(live, ("metadata", "deletionTimestamp"))
    )
    planned = prune.plan_prune(cluster, [task.entry for task in tasks], lambda live: "")
    if any(result.action == "delete" for result in planned):
        record_deletion(environment, value, planned)
    results = prune.prune_objects(cluster, planned, lambda live: "", propagation)
    failures = [f"{result.entry}: {result.reason}" for result in results if result.action == "failed"]
    if failures:
        raise ToolError("; ".join(failures))


def _is_awaiting_confirmation(value: Object, options: SyncOptions, live: Object) -> bool:
    return options.for_object(live).get("Delete") == "confirm" and not is_deletion_confirmed(value, 0.0)


def _write_deletion_error(environment: ArgoEnvironment, value: Object, message: str) -> None:
    now = time.time()
    status = {"conditions": argocd_status.build_conditions(value, {"DeletionError": message}, now)}
    status_writer.write_status(environment.cluster, value, status, now)
