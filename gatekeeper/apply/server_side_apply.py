"""Applies objects to a cluster by server-side apply: a dry run of a whole stage first, then its writes.

Source: kustomize-controller `internal/controller/kustomization_controller.go`, fluxcd/pkg `ssa/manager_apply.go`.
Unlike there, all errors of a stage are reported, and not the first one alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType

from gatekeeper.apply import diff, field_managers
from gatekeeper.apply.changes import (
    FIELD_MANAGER,
    MISSING_DEPENDENCY,
    ApplyOptions,
    ApplyPolicy,
    ChangeCause,
    ObjectChange,
    list_failed,
)
from gatekeeper.apply.inventory import entry_of
from gatekeeper.apply.order import group_of
from gatekeeper.cluster.dynamic_client import CONFLICT, NOT_FOUND, ApiStatusError, DynamicClient, Kind
from gatekeeper.errors import ToolError
from gatekeeper.model import Object, get_field, name_of

# Objects that are tried or written at the same time.
MAX_WORKERS = 4
# How long the cluster may take to serve a new CustomResourceDefinition, and the pause between two looks.
DEFINITION_TIMEOUT_SECONDS, DEFINITION_POLL_SECONDS = 60.0, 0.1
DEFINITION_KIND = "CustomResourceDefinition"
# Called with the changes of a stage before they are written; it raises where they must not be.
ChangeRecorder = Callable[[Sequence[ObjectChange]], None]


def plan_changes(cluster: DynamicClient, stages: Sequence[Sequence[Object]], policy: ApplyPolicy) -> list[ObjectChange]:
    """What applying would do to each object, in order; writes nothing."""
    objects = [value for stage in stages for value in stage]
    new_kinds = {
        (value["spec"]["group"], value["spec"]["names"]["kind"])
        for value in objects
        if value["kind"] == DEFINITION_KIND
    }
    new_namespaces = {value["metadata"]["name"] for value in objects if value["kind"] == "Namespace"}
    return [
        _excuse_missing_dependency(change, new_kinds, new_namespaces)
        for stage in stages
        for change in _run_parallel(partial(_dry_run, cluster, policy), stage)
    ]


def _excuse_missing_dependency(
    change: ObjectChange, new_kinds: set[tuple[str, str]], new_namespaces: set[str]
) -> ObjectChange:
    """The change, or `create` where its kind or namespace is created by the same run."""
    value = change.value
    is_new_kind = (group_of(value), value["kind"]) in new_kinds
    is_new_namespace = get_field(value, ("metadata", "namespace")) in new_namespaces
    if change.action == "failed" and change.cause in MISSING_DEPENDENCY and (is_new_kind or is_new_namespace):
        reason = "not tried: its kind or namespace is created in the same run"
        return ObjectChange(value, "create", reason, cause=ChangeCause.DEPENDENCY_IN_SAME_RUN)
    return change


def apply_stages(
    cluster: DynamicClient,
    stages: Sequence[Sequence[Object]],
    policy: ApplyPolicy,
    record: ChangeRecorder = lambda changes: None,
    dry_run_changes: Mapping[str, ObjectChange] = MappingProxyType({}),
) -> list[ObjectChange]:
    """Applies stage by stage. A stage with a failed dry run is not applied at all, and no later stage either.

    Args:
        record: called with the changes of a stage before they are written.
        dry_run_changes: results of dry runs that were made just now, by inventory id.
    """
    changes: list[ObjectChange] = []
    for stage in stages:
        tried = [dry_run_changes[entry_of(value).id] for value in stage if entry_of(value).id in dry_run_changes]
        untried = [value for value in stage if entry_of(value).id not in dry_run_changes]
        tried += _run_parallel(partial(_dry_run, cluster, policy), untried)
        if list_failed(tried):
            return [*changes, *map(_mark_skipped, tried)]
        writes = [change for change in tried if change.is_write]
        if writes:
            record(writes)
        applied = _run_parallel(partial(_apply_change, cluster), tried)
        changes += applied
        if list_failed(applied):
            return changes
        _wait_for_definitions(cluster, [change.value for change in applied if change.action == "create"])
    return changes


def _mark_skipped(change: ObjectChange) -> ObjectChange:
    if change.is_write:
        reason = "not applied: another object of the same stage failed"
        return ObjectChange(change.value, "skip", reason, cause=ChangeCause.STAGE_FAILED)
    return change


def _run_parallel(work: Callable[..., ObjectChange], items: Sequence[object]) -> list[ObjectChange]:
    if not items:
        return []
    with ThreadPoolExecutor(MAX_WORKERS) as pool:
        return list(pool.map(work, items))


def _dry_run(cluster: DynamicClient, policy: ApplyPolicy, value: Object) -> ObjectChange:
    """What applying an object would do, by a dry run of the API server."""
    name, options, live = name_of(value), ApplyOptions(), None
    try:
        kind = cluster.find_kind(value["apiVersion"], value["kind"])
        if kind is None:
            reason = f"the cluster has no kind {value['kind']} of {value['apiVersion']}: install its definition"
            return ObjectChange(value, "failed", reason, cause=ChangeCause.MISSING_KIND)
        if kind.is_namespaced and not name.namespace:
            return ObjectChange(value, "failed", "has no namespace: set one, or `targetNamespace`")
        live = cluster.get(kind, *name)
        options = policy(value, live)
        value = options.adjusted or value
        if options.is_skipped:
            return ObjectChange(value, "skip", "skipped by its own label or annotation", live=live)
        applied = _write_object(cluster, kind, value, options, live, is_dry=True)
    except ApiStatusError as error:
        if error.code == NOT_FOUND and name.namespace:
            reason = f"namespace {name.namespace} not found: create it first"
            return ObjectChange(value, "failed", reason, cause=ChangeCause.MISSING_NAMESPACE)
        if error.is_immutable and options.is_forced:
            reason = "immutable field changed: deletes the object and creates it again"
            return ObjectChange(value, "configure", reason, live=live, options=options, cause=ChangeCause.RECREATE)
        return ObjectChange(value, "failed", str(error), live=live)
    except ToolError as error:
        return ObjectChange(value, "failed", str(error))
    return _compare(value, options, applied, live)


def _compare(value: Object, options: ApplyOptions, applied: Object, live: Object | None) -> ObjectChange:
    """The change between the object in the cluster and the result of a dry run."""
    if live is None:
        return ObjectChange(value, "create", options=options)
    fields = tuple(diff.list_differences(options.normalize(applied), options.normalize(live)))
    if fields:
        changed_by = diff.find_last_manager(live, FIELD_MANAGER)
        return ObjectChange(
            value=value, action="configure", reason="", fields=fields, changed_by=changed_by, live=live, options=options
        )
    adopts = options.should_adopt and not options.is_replaced
    if adopts and field_managers.build_takeover_patch(live, FIELD_MANAGER):
        reason = "takes over the fields that another field manager applied"
        return ObjectChange(value, "configure", reason, live=live, options=options, cause=ChangeCause.TAKEOVER)
    return ObjectChange(value, "unchanged", live=live, options=options)


def _write_object(
    cluster: DynamicClient, kind: Kind, value: Object, options: ApplyOptions, live: Object | None, *, is_dry: bool
) -> Object:
    if options.is_replaced and live is not None:
        version = {"resourceVersion": live["metadata"]["resourceVersion"]}
        return cluster.replace(kind, {**value, "metadata": {**value["metadata"], **version}}, FIELD_MANAGER, is_dry)
    return cluster.apply(kind, value, FIELD_MANAGER, is_dry)


def _apply_change(cluster: DynamicClient, change: ObjectChange) -> ObjectChange:
    if not change.is_write:
        return change
    value, options = change.value, change.options
    try:
        kind = cluster.find_kind(value["apiVersion"], value["kind"])
        assert kind is not None
        if change.cause is ChangeCause.RECREATE:
            _recreate_object(cluster, kind, value)
            return change
        if change.action == "configure" and options.should_adopt and not options.is_replaced:
            _adopt_fields(cluster, kind, value)
        _write_object(cluster, kind, value, options, change.live, is_dry=False)
    except ToolError as error:
        return ObjectChange(value, "failed", str(error), live=change.live)
    return change


def _recreate_object(cluster: DynamicClient, kind: Kind, value: Object) -> None:
    live = cluster.get(kind, *name_of(value))
    if live is not None:
        cluster.delete(kind, *name_of(value), live["metadata"]["uid"])
    cluster.apply(kind, value, FIELD_MANAGER, False)


def _adopt_fields(cluster: DynamicClient, kind: Kind, value: Object) -> None:
    """Takes over the fields that other managers applied; on a conflict the next reconcile does it."""
    live = cluster.get(kind, *name_of(value))
    patch = field_managers.build_takeover_patch(live, FIELD_MANAGER) if live is not None else {}
    if live is None or not patch:
        return
    try:
        cluster.patch(kind, live, {"metadata": patch})
    except ApiStatusError as error:
        if error.code != CONFLICT:
            raise


def _wait_for_definitions(cluster: DynamicClient, created: Sequence[Object]) -> None:
    """Waits until the cluster serves the kinds of new CustomResourceDefinitions."""
    kinds = [
        (f"{value['spec']['group']}/{version['name']}", value["spec"]["names"]["kind"])
        for value in created
        if value["kind"] == DEFINITION_KIND
        for version in value["spec"]["versions"]
        if version.get("served")
    ]
    end = time.monotonic() + DEFINITION_TIMEOUT_SECONDS
    for api_version, kind in kinds:
        while cluster.find_kind(api_version, kind) is None and time.monotonic() < end:
            time.sleep(DEFINITION_POLL_SECONDS)
