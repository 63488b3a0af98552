"""Compares the desired objects of an Application with the live ones, by a dry run of server-side apply.

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
from gatekeeper.argocd.resource_tracking import ComparisonTarget
from gatekeeper.argocd.sync import ignore_differences, sync_tasks
from gatekeeper.argocd.sync.sync_options import SyncOptions, is_extraneous, is_health_ignored
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.errors import DeniedError, SpecError
from gatekeeper.model import Object, get_field
from gatekeeper.named_tuple import NamedTuple


class DesiredObjects(NamedTuple):
    """The objects of an Application, with namespaces and tracking marks."""

    resources: list[Object]
    hooks: list[Object]


def prepare_objects(build: ApplicationBuild, target: ComparisonTarget, project: Object) -> DesiredObjects:
    """Set the namespaces and tracking marks of rendered objects, and check that the project permits them.

    Raises:
        DeniedError: the project, or the Secret of the cluster, does not permit an object.
        SpecError: an object occurs twice.
        ToolError: the cluster does not answer.
    """
    desired, seen = DesiredObjects([], []), set[str]()
    namespace = target.cluster.destination.namespace
    for rendered in build.objects:
        value = _set_namespace(target.cluster.cluster, rendered, namespace)
        _require_permission(value, target.cluster, project)
        entry = entry_of(value)
        if entry.name and entry.id in seen:
            raise SpecError(f"{entry} occurs twice in the sources: remove one")
        seen.add(entry.id)
        objects = desired.hooks if sync_tasks.hook_types_of(value) else desired.resources
        objects.append(resource_tracking.mark_object(target.tracking, target.instance_name, value, namespace))
    return desired


def _set_namespace(cluster: DynamicClient, value: Object, namespace: str) -> Object:
    """Return an object with the namespace it is applied to; a cluster-scoped object has none."""
    kind = cluster.find_kind(value["apiVersion"], value["kind"])
    metadata = value["metadata"]
    is_namespaced = kind.is_namespaced if kind is not None else bool(metadata.get("namespace"))
    if not is_namespaced:
        return {**value, "metadata": {key: field for key, field in metadata.items() if key != "namespace"}}
    return {**value, "metadata": {**metadata, "namespace": metadata.get("namespace") or namespace}}


def _require_permission(value: Object, target: DestinationCluster, project: Object) -> None:
    entry, name = entry_of(value), project["metadata"]["name"]
    if not app_project.is_kind_permitted(project, entry, bool(entry.namespace)):
        raise DeniedError(f"{entry}: the project {name} does not permit this kind of {entry.group or 'the core group'}")
    if not entry.namespace:
        if target.allowed_namespaces:
            raise DeniedError(f"{entry}: the Secret of the cluster permits no cluster-scoped objects")
        return
    if not app_project.is_destination_permitted(project, target.destination._replace(namespace=entry.namespace)):
        raise DeniedError(f"{entry}: the project {name} does not permit this namespace")
    if target.allowed_namespaces and entry.namespace not in target.allowed_namespaces:
        raise DeniedError(f"{entry}: the Secret of the cluster does not permit this namespace")


def build_apply_policy(build: ApplicationBuild, options: SyncOptions, is_forced: bool = False) -> ApplyPolicy:
    """Build the function that decides how each object is applied.

    Args:
        options: those of the Application and the operation.
        is_forced: whether the operation forces all objects.
    """
    all_rules = build.application.ignore_differences

    def decide_options(value: Object, live: Object | None) -> ApplyOptions:
        own, rules = options.for_object(value), ignore_differences.select_rules(value, all_rules)
        adjusted = value
        if own.is_enabled("RespectIgnoreDifferences"):
            adjusted = ignore_differences.keep_ignored_fields(value, rules, live)
        return ApplyOptions(
            adjusted=adjusted,
            is_skipped=False,
            is_forced=is_forced or own.is_enabled("Force"),
            is_replaced=own.is_enabled("Replace"),
            should_adopt=True,
            normalize=partial(ignore_differences.remove_ignored_fields, rules=rules, live=live),
        )

    return decide_options


def compare_objects(
    target: ComparisonTarget,
    desired: Sequence[Object],
    previous: Iterable[InventoryEntry],
    apply_policy: ApplyPolicy,
) -> list[ComparedObject]:
    """Compare the desired objects with the live ones.

    Args:
        previous: the objects that the Application has applied; those not desired any more are in the result, too.

    Raises:
        SpecError: an object has an unknown sync option, or a jq expression is invalid.
        ToolError: the cluster does not answer.
    """
    scripts = target.tracking.health_scripts
    tasks = sync_tasks.sort_tasks(map(sync_tasks.build_apply_task, desired))
    stages = sync_tasks.split_stages(tasks)
    changes = server_side_apply.plan_changes(target.cluster.cluster, stages, apply_policy)
    compared = [_to_compared_object(change, scripts) for change in changes]
    desired_ids = {item.entry.id for item in compared}
    for entry in {entry.id: entry for entry in previous}.values():
        live = get_object(target.cluster.cluster, entry) if entry.id not in desired_ids else None
        if (
            live is not None
            and resource_tracking.find_owner(target.tracking, live) == target.instance_name
            and not sync_tasks.hook_types_of(live)
        ):
            status: SyncStatus = "Synced" if is_extraneous(live) else "OutOfSync"
            compared.append(ComparedObject(entry, status, None, live, _compute_health(live, scripts)))
    return compared


def _to_compared_object(change: ObjectChange, scripts: HealthScripts) -> ComparedObject:
    is_same = change.action in ("unchanged", "skip") or change.cause is ChangeCause.TAKEOVER
    health = _compute_health(change.live, scripts)
    return ComparedObject(entry_of(change.value), "Synced" if is_same else "OutOfSync", change, change.live, health)


def _compute_health(live: Object | None, scripts: HealthScripts) -> ArgoHealth | None:
    if live is None:
        return ArgoHealth("Missing")
    return None if is_health_ignored(live) else resource_health.compute_health(live, scripts)


def get_object(cluster: DynamicClient, entry: InventoryEntry) -> Object | None:
    """Read a live object; None if it does not exist.

    Raises:
        ToolError: the cluster does not answer.
    """
    kind = cluster.find_kind(entry.api_version, entry.kind)
    return cluster.get(kind, entry.namespace, entry.name) if kind is not None else None


def refresh_health(
    cluster: DynamicClient, objects: Sequence[ComparedObject], scripts: HealthScripts
) -> list[ComparedObject]:
    """Return compared objects with their current live object and health.

    Raises:
        ToolError: the cluster does not answer.
    """
    refreshed = []
    for compared in objects:
        live = get_object(cluster, compared.entry)
        refreshed.append(compared._replace(live=live, health=_compute_health(live, scripts)))
    return refreshed


def settle_objects(
    cluster: DynamicClient, objects: Sequence[ComparedObject], results: Iterable[ResourceResult], scripts: HealthScripts
) -> list[ComparedObject]:
    """Return compared objects after a successful sync: applied ones are synced, pruned ones are gone.

    Raises:
        ToolError: the cluster does not answer.
    """
    synced = {result.entry.id for result in results if result.status == "Synced"}
    settled = []
    for compared in refresh_health(cluster, objects, scripts):
        if compared.entry.id in synced:
            settled.append(compared._replace(status="Synced"))
        elif not (compared.should_prune and compared.live is None):
            settled.append(compared)
    return settled


def aggregate_sync_status(objects: Sequence[ComparedObject]) -> SyncStatus:
    """Return the sync status of an Application: `OutOfSync` if any object is."""
    return "OutOfSync" if any(compared.status == "OutOfSync" for compared in objects) else "Synced"


def aggregate_health(objects: Sequence[ComparedObject]) -> ArgoHealth:
    """Return the health of an Application: the worst health of its desired objects."""
    healths = [compared.health for compared in objects if compared.health is not None and not compared.should_prune]
    return ArgoHealth(builtin.find_worst(health.status for health in healths))


def list_tracked_entries(value: Object, marked: Iterable[InventoryEntry]) -> list[InventoryEntry]:
    """List what an Application has applied: the objects in its status, and those marked in the cluster."""
    resources: Any = get_field(value, ("status", "resources"))
    listed = [parse_entry(item) for item in (resources if isinstance(resources, list) else ()) if not item.get("hook")]
    return list({entry.id: entry for entry in (*marked, *listed)}.values())


def parse_entry(resource: Any) -> InventoryEntry:
    """Decode the reference to an object in the status of an Application."""
    return InventoryEntry(
        *(str(resource.get(name) or "") for name in ("namespace", "name", "group", "kind", "version"))
    )
