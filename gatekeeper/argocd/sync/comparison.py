"""What an Application wants, held against what is there: by a dry run of applying, as the cluster itself says.

Source: argo-cd `docs/user-guide/{diffing,diff-strategies}.md`, `controller/state.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from gatekeeper.apply import server_side_apply
from gatekeeper.apply.changes import ApplyOptions, ApplyPolicy, ChangeCause, ObjectChange
from gatekeeper.apply.inventory import InventoryEntry, entry_of
from gatekeeper.argocd import app_project, resource_tracking
from gatekeeper.argocd.destination import DestinationCluster
from gatekeeper.argocd.health import builtin, resource_health
from gatekeeper.argocd.health.builtin import ArgoHealth
from gatekeeper.argocd.health.resource_health import HealthScripts
from gatekeeper.argocd.model import ApplicationBuild, ComparedObject, ResourceResult, SyncStatus
from gatekeeper.argocd.resource_tracking import TrackingSettings
from gatekeeper.argocd.sync import ignore_differences, sync_options, sync_tasks
from gatekeeper.argocd.sync.sync_options import SyncOptions
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.errors import DeniedError, SpecError
from gatekeeper.model import get_field


def prepare_objects(
    build: ApplicationBuild,
    target: DestinationCluster,
    project: Object,
    tracking_settings: TrackingSettings,
    instance_name: str,
) -> tuple[list[Object], list[Object]]:
    """What is applied, and the hooks: each in its namespace, marked, and permitted by the project.

    Args:
        instance_name: the name that objects are marked with.

    Raises:
        DeniedError: one is not permitted.
        SpecError: one is there twice.
        ToolError: the cluster does not tell.
    """
    plain, hooks, seen = list[Object](), list[Object](), set[str]()
    for value in build.objects:
        placed = _set_namespace(target.cluster, value, target.destination.namespace)
        _require_permission(placed, target, project)
        entry, is_hook = entry_of(placed), bool(sync_tasks.hook_types_of(placed))
        if entry.name and entry.id in seen:
            raise SpecError(f"{entry} is there twice")
        seen.add(entry.id)
        (hooks if is_hook else plain).append(
            resource_tracking.mark_object(tracking_settings, instance_name, placed, target.destination.namespace)
        )
    return plain, hooks


def _set_namespace(cluster: DynamicClient, value: Object, namespace: str) -> Object:
    """An object in the namespace in which it is applied; what is of the whole cluster is in none."""
    kind = cluster.find_kind(value["apiVersion"], value["kind"])
    metadata = value["metadata"]
    is_namespaced = kind.is_namespaced if kind is not None else bool(metadata.get("namespace"))
    if not is_namespaced:
        return {**value, "metadata": {key: held for key, held in metadata.items() if key != "namespace"}}
    return {**value, "metadata": {**metadata, "namespace": metadata.get("namespace") or namespace}}


def _require_permission(value: Object, target: DestinationCluster, project: Object) -> None:
    entry, name = entry_of(value), project["metadata"]["name"]
    if not app_project.is_kind_permitted(project, entry, bool(entry.namespace)):
        raise DeniedError(f"{entry} of {entry.group or 'the core'}: the project {name} does not permit this kind")
    if not entry.namespace:
        if target.allowed_namespaces:
            raise DeniedError(f"{entry} is of the whole cluster, and its Secret permits some namespaces alone")
        return
    if not app_project.is_destination_permitted(project, target.destination._replace(namespace=entry.namespace)):
        raise DeniedError(f"{entry}: the project {name} does not permit this namespace")
    if target.allowed_namespaces and entry.namespace not in target.allowed_namespaces:
        raise DeniedError(f"{entry}: the Secret of the cluster does not permit this namespace")


def build_apply_policy(
    build: ApplicationBuild, application_options: SyncOptions, is_forced: bool = False
) -> ApplyPolicy:
    """How each object is applied."""
    ignored = build.application.ignore_differences

    def manner(value: Object, live: Object | None) -> ApplyOptions:
        own, rules = application_options.for_object(value), ignore_differences.select_rules(value, ignored)
        adjusted = (
            ignore_differences.keep_ignored_fields(value, rules, live)
            if own.is_enabled("RespectIgnoreDifferences")
            else value
        )
        shown = partial(ignore_differences.remove_ignored_fields, rules=rules, live=live)
        forced = is_forced or own.is_enabled("Force")
        return ApplyOptions(adjusted, False, forced, own.is_enabled("Replace"), True, shown)

    return manner


def compare_objects(
    target: DestinationCluster,
    desired: Sequence[Object],
    previous: Iterable[InventoryEntry],
    apply_policy: ApplyPolicy,
    tracking_settings: TrackingSettings,
    instance_name: str,
) -> list[ComparedObject]:
    """What there is, object by object; what was applied before and is not wanted any more among it.

    Raises:
        SpecError: an object says what there is not.
        ToolError: the cluster does not tell.
    """
    order = sync_tasks.sort_tasks(
        sync_tasks.SyncTask("Sync", sync_tasks.wave_of(one), entry_of(one), "", one) for one in desired
    )
    changes = server_side_apply.plan_changes(target.cluster, sync_tasks.split_stages(order), apply_policy)
    found = [_to_compared_object(change, tracking_settings.health_scripts) for change in changes]
    ids = {one.entry.id for one in found}
    for entry in {one.id: one for one in previous}.values():
        live = get_object(target.cluster, entry) if entry.id not in ids else None
        if (
            live is not None
            and resource_tracking.find_owner(tracking_settings, live) == instance_name
            and not sync_tasks.hook_types_of(live)
        ):
            status: SyncStatus = "Synced" if sync_options.is_extraneous(live) else "OutOfSync"
            found.append(
                ComparedObject(entry, status, None, live, _compute_health(live, tracking_settings.health_scripts))
            )
    return found


def _to_compared_object(change: ObjectChange, scripts: HealthScripts) -> ComparedObject:
    is_same = change.action in ("unchanged", "skip") or change.cause is ChangeCause.TAKEOVER
    return ComparedObject(
        entry_of(change.value),
        "Synced" if is_same else "OutOfSync",
        change,
        change.live,
        _compute_health(change.live, scripts),
    )


def _compute_health(live: Object | None, scripts: HealthScripts) -> ArgoHealth | None:
    if live is None:
        return ArgoHealth("Missing")
    return None if sync_options.is_health_ignored(live) else resource_health.compute_health(live, scripts)


def get_object(cluster: DynamicClient, entry: InventoryEntry) -> Object | None:
    """An object of the cluster; None where it is not there."""
    kind = cluster.find_kind(entry.api_version, entry.kind)
    return cluster.get(kind, entry.namespace, entry.name) if kind is not None else None


def refresh_health(
    cluster: DynamicClient, objects: Sequence[ComparedObject], scripts: HealthScripts
) -> list[ComparedObject]:
    """The same, with the health of what is there now.

    Raises:
        ToolError: the cluster does not tell.
    """
    found = []
    for one in objects:
        live = get_object(cluster, one.entry)
        found.append(one._replace(live=live, health=_compute_health(live, scripts)))
    return found


def settle_objects(
    cluster: DynamicClient, objects: Sequence[ComparedObject], results: Iterable[ResourceResult], scripts: HealthScripts
) -> list[ComparedObject]:
    """The same after a sync that came to a good end: what was applied is as it is wanted.

    Raises:
        ToolError: the cluster does not tell.
    """
    done = {one.entry.id for one in results if one.status == "Synced"}
    found = []
    for one in refresh_health(cluster, objects, scripts):
        if one.entry.id in done:
            found.append(one._replace(status="Synced"))
        elif not (one.should_prune and one.live is None):
            found.append(one)
    return found


def aggregate_sync_status(objects: Sequence[ComparedObject]) -> SyncStatus:
    """Whether all is as it is wanted."""
    return "OutOfSync" if any(one.status == "OutOfSync" for one in objects) else "Synced"


def aggregate_health(objects: Sequence[ComparedObject]) -> ArgoHealth:
    """How well the Application is: as well as what is worst of what it wants."""
    known = [one.health for one in objects if one.health is not None and not one.should_prune]
    return ArgoHealth(builtin.find_worst(one.status for one in known))


def list_tracked_entries(value: Object, found_entries: Iterable[InventoryEntry]) -> list[InventoryEntry]:
    """What an Application has applied: as its status has it, and as the marks in the cluster have it."""
    held: Any = get_field(value, ("status", "resources"))
    listed = [parse_entry(one) for one in (held if isinstance(held, list) else ()) if not one.get("hook")]
    return list({one.id: one for one in (*found_entries, *listed)}.values())


def parse_entry(resource_status: Any) -> InventoryEntry:
    """The object that a line of an Application's status is about."""
    return InventoryEntry(
        *(str(resource_status.get(name) or "") for name in ("namespace", "name", "group", "kind", "version"))
    )
