"""What becomes of what an Application has applied when it is deleted itself: it goes, what came last first.

Source: argo-cd `docs/user-guide/app_deletion.md`, `controller/appcontroller.go` (`finalizeApplicationDeletion`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from gatekeeper.apply import prune
from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.model import ApplySet, AuditEvent, ReconcileOutcome, ReconcileResult
from gatekeeper.argocd import app_project, application_spec, destination, resource_tracking
from gatekeeper.argocd import status as argocd_status
from gatekeeper.argocd.application_spec import Application
from gatekeeper.argocd.sync import comparison, sync_options, sync_tasks
from gatekeeper.argocd.sync.sync_options import SyncOptions
from gatekeeper.cluster.dynamic_client import DynamicClient, Object, Propagation
from gatekeeper.controller.argocd import delete_hooks, status_writer
from gatekeeper.controller.argocd.context import ApplicationContext, ArgoEnvironment
from gatekeeper.controller.argocd.sync_plan import is_deletion_confirmed
from gatekeeper.errors import SpecError, ToolError
from gatekeeper.kube.decoder import FieldError
from gatekeeper.kube.objects import NamespacedName
from gatekeeper.model import get_field

RESOURCES_FINALIZER = "resources-finalizer.argocd.argoproj.io"
PROPAGATION_BY_FINALIZER: dict[str, Propagation] = {
    RESOURCES_FINALIZER: "Foreground",
    f"{RESOURCES_FINALIZER}/foreground": "Foreground",
    f"{RESOURCES_FINALIZER}/background": "Background",
}
RECHECK_SECONDS = 1.0


def finalize_application(
    environment: ArgoEnvironment,
    value: Object,
    get_project: Callable[[NamespacedName], Object | None],
    list_managed: Callable[[str], list[InventoryEntry]],
    context: ApplicationContext | None,
) -> float | None:
    """Takes away what an Application has applied, wave by wave, if it has a finalizer that says so; and lets it go.

    Args:
        list_managed: what is marked as an Application's in the cluster.
        context: all that counts for it, where hooks of it are to run; else None.

    Returns:
        In how many seconds it is to be looked at again; None when it is let go, or waits for somebody.

    Raises:
        ToolError: the cluster does not do it.
    """
    held = [str(one) for one in get_field(value, ("metadata", "finalizers")) or ()]
    mine = [one for one in held if one in PROPAGATION_BY_FINALIZER]
    try:
        left = _run_delete_hooks(environment, value, context, delete_hooks.PRE_DELETE)
        if left is None and mine:
            left = _delete_next_wave(environment, value, get_project, list_managed, PROPAGATION_BY_FINALIZER[mine[0]])
        if left is None:
            value = _remove_finalizers(environment, value, mine)
            left = _run_delete_hooks(environment, value, context, delete_hooks.POST_DELETE)
    except (FieldError, SpecError, ToolError) as error:
        last = (mine or held or [""])[0]
        _write_deletion_error(
            environment, value, f"cannot be finished: {error}; mend it, or take its finalizer {last} off"
        )
        raise ToolError(str(error)) from None
    return left or None


def _run_delete_hooks(
    environment: ArgoEnvironment, value: Object, context: ApplicationContext | None, hook_type: str
) -> float | None:
    """Goes on with the hooks of a kind; None when all are done, and their finalizers gone."""
    name = delete_hooks.HOOK_FINALIZERS[hook_type]
    held = get_field(value, ("metadata", "finalizers")) or ()
    if context is None or not {name, f"{name}{delete_hooks.CLEANUP_SUFFIX}"} & set(held):
        return None
    if name in held:
        left = delete_hooks.run_hooks(context, hook_type)
        if left is not None:
            return left
        _remove_finalizers(environment, value, [name])
        # What was written is read again.
        return RECHECK_SECONDS
    delete_hooks.delete_succeeded_hooks(context, hook_type)
    _remove_finalizers(environment, value, [f"{name}{delete_hooks.CLEANUP_SUFFIX}"])
    return RECHECK_SECONDS


def _remove_finalizers(environment: ArgoEnvironment, value: Object, finalizers: Sequence[str]) -> Object:
    """An Application without some finalizers; as it is then."""
    held = get_field(value, ("metadata", "finalizers")) or []
    kind = environment.cluster.find_newest_kind(application_spec.GROUP, application_spec.VERSIONS, "Application")
    left = [one for one in held if one not in finalizers]
    if kind is None or left == held:
        return value
    return environment.cluster.patch(kind, value, {"metadata": {"finalizers": left}})


def _delete_next_wave(
    environment: ArgoEnvironment,
    value: Object,
    get_project: Callable[[NamespacedName], Object | None],
    list_managed: Callable[[str], list[InventoryEntry]],
    propagation: Propagation,
) -> float | None:
    """Takes away one wave; in how many seconds to look again (0: when somebody confirms it), None when all is gone."""
    application = application_spec.parse_application(value)
    owner = get_project(NamespacedName(environment.argocd_namespace, application.project))
    there = destination.resolve_cluster(
        environment.cluster, environment.argocd_namespace, application.destination, application.project
    )
    user = app_project.find_service_account(owner, there.destination) if owner is not None else ""
    cluster = there.cluster.impersonate(user) if user else there.cluster
    mark, app = environment.tracking, resource_tracking.format_instance_name(application, environment.argocd_namespace)
    general = sync_options.parse_sync_options(application.sync_options, "the Application")
    entries = comparison.list_tracked_entries(value, list_managed(app) if there.is_in_cluster else ())
    living = [(entry, live) for entry in entries if (live := comparison.get_object(cluster, entry)) is not None]
    living = [(entry, live) for entry, live in living if resource_tracking.find_owner(mark, live) == app]
    waits = [(entry, live) for entry, live in living if _is_awaiting_confirmation(value, general, live)]
    going = [(entry, live) for entry, live in living if general.for_object(live).get("Delete") != "false"]
    if waits:
        _write_deletion_error(
            environment, value, f"{waits[0][0]} waits until somebody confirms that it goes (`Delete=confirm`)"
        )
        return 0.0
    if not going:
        return None
    _delete_wave(environment, value, application, cluster, going, propagation)
    return RECHECK_SECONDS


def _delete_wave(
    environment: ArgoEnvironment,
    value: Object,
    application: Application,
    cluster: DynamicClient,
    objects: Sequence[tuple[InventoryEntry, Object]],
    propagation: Propagation,
) -> None:
    wave = max(sync_tasks.wave_of(live) for _, live in objects)
    order = sync_tasks.sort_tasks(
        sync_tasks.SyncTask("Sync", 0, entry, "", None)
        for entry, live in objects
        if sync_tasks.wave_of(live) == wave and not get_field(live, ("metadata", "deletionTimestamp"))
    )
    gone = prune.plan_prune(cluster, [task.entry for task in order], lambda live: "")
    if any(one.action == "delete" for one in gone):
        outcome = ReconcileOutcome(False, "Pruning", f"the Application {application.name} is deleted")
        environment.record(AuditEvent("delete", ReconcileResult(ApplySet(value, "", ()), outcome, (), gone)))
    failed = [one for one in prune.prune_objects(cluster, gone, lambda live: "", propagation) if one.action == "failed"]
    if failed:
        raise ToolError("; ".join(f"{one.entry}: {one.reason}" for one in failed))


def _is_awaiting_confirmation(value: Object, options: SyncOptions, live: Object) -> bool:
    return options.for_object(live).get("Delete") == "confirm" and not is_deletion_confirmed(value, 0.0)


def _write_deletion_error(environment: ArgoEnvironment, value: Object, message: str) -> None:
    now = time.time()
    status = {"conditions": argocd_status.build_conditions(value, {"DeletionError": message}, now)}
    status_writer.write_status(environment.cluster, value, status, now)
