"""What applying objects does to a cluster: told first, and then done, stage by stage; and what is taken away.

Source: kustomize-controller `internal/controller/kustomization_controller.go`, fluxcd/pkg `ssa/manager_apply.go`.
Unlike there, all faults of a stage are told and not the first alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import Literal, NamedTuple

from gatekeeper.apply import diff, field_managers, order
from gatekeeper.apply.inventory import InventoryEntry, entry_of
from gatekeeper.cluster.dynamic_client import (
    CONFLICT,
    NOT_FOUND,
    ApiStatusError,
    DynamicClient,
    Kind,
    Object,
    Propagation,
)
from gatekeeper.errors import ToolError
from gatekeeper.model import FieldPath, get_field

FIELD_MANAGER = "gatekeeper"
# Whoever writes the status of what has no subresource for it.
STATUS_MANAGER = "gatekeeper-status"
MAX_WORKERS = 4
# So long a definition may take until the cluster serves it.
DEFINITION_TIMEOUT_SECONDS = 60.0
ApplyAction = Literal["create", "configure", "unchanged", "skip", "failed"]


def _identity(value: Object) -> Object:
    return value


class ApplyOptions(NamedTuple):
    """How one object is applied, as it or who applies it says.

    Attributes:
        adjusted: what is applied, where that is another than what is asked for.
        is_skipped: whether it is not applied at all.
        is_forced: whether it is made anew where a field of it cannot be changed.
        is_replaced: whether it is written as a whole, and what others have set of it is gone.
        should_adopt: whether fields are taken over that others have applied before.
        normalize: what of it counts where it is compared.
    """

    adjusted: Object | None = None
    is_skipped: bool = False
    is_forced: bool = False
    is_replaced: bool = False
    should_adopt: bool = True
    normalize: Callable[[Object], Object] = _identity


# Of an object, and of what is in the cluster.
ApplyPolicy = Callable[[Object, Object | None], ApplyOptions]


class ChangeCause(Enum):
    """Why a change has its action, for code that decides by it; `ObjectChange.reason` is the text for readers."""

    NONE = "none"
    MISSING_KIND = "missing kind"
    MISSING_NAMESPACE = "missing namespace"
    DEPENDENCY_IN_SAME_RUN = "dependency in the same run"
    TAKEOVER = "takeover"
    RECREATE = "recreate"
    STAGE_FAILED = "stage failed"


# The object cannot be tried before another one exists.
MISSING_DEPENDENCY = (ChangeCause.MISSING_KIND, ChangeCause.MISSING_NAMESPACE)


class ObjectChange(NamedTuple):
    """What applying one object does.

    Attributes:
        reason: why, where that is not plain.
        fields: which differ; and
        changed_by: who has changed them.
        live: what is in the cluster; None where nothing is, or it could not be looked at.
        cause: why, for code that decides by it.
    """

    value: Object
    action: ApplyAction
    reason: str = ""
    fields: tuple[FieldPath, ...] = ()
    changed_by: str = ""
    live: Object | None = None
    options: ApplyOptions = ApplyOptions()
    cause: ChangeCause = ChangeCause.NONE

    def __str__(self) -> str:
        return str(entry_of(self.value))


def plan_changes(cluster: DynamicClient, stages: Sequence[Sequence[Object]], policy: ApplyPolicy) -> list[ObjectChange]:
    """What applying would do, in order; nothing is written."""
    objects = [one for stage in stages for one in stage]
    made = {(one["spec"]["group"], one["spec"]["names"]["kind"]) for one in objects if one["kind"] == DEFINITION_KIND}
    spaces = {one["metadata"]["name"] for one in objects if one["kind"] == "Namespace"}
    found: list[ObjectChange] = []
    for stage in stages:
        found += [
            _excuse_missing_dependency(change, made, spaces)
            for change in _run_parallel(partial(_dry_run, cluster, policy), stage)
        ]
    return found


DEFINITION_KIND = "CustomResourceDefinition"


def _excuse_missing_dependency(
    change: ObjectChange, new_kinds: set[tuple[str, str]], new_namespaces: set[str]
) -> ObjectChange:
    """What cannot be tried now, because what it needs is made in the same run."""
    value = change.value
    needs_kind = (order.group_of(value), value["kind"]) in new_kinds
    needs_space = get_field(value, ("metadata", "namespace")) in new_namespaces
    if change.action == "failed" and change.cause in MISSING_DEPENDENCY and (needs_kind or needs_space):
        return ObjectChange(value, "create", NOT_TRIED, cause=ChangeCause.DEPENDENCY_IN_SAME_RUN)
    return change


ChangeRecorder = Callable[[Sequence[ObjectChange]], None]


def apply_stages(
    cluster: DynamicClient,
    stages: Sequence[Sequence[Object]],
    policy: ApplyPolicy,
    record: ChangeRecorder = lambda changes: None,
    dry_run_changes: Mapping[str, ObjectChange] = MappingProxyType({}),
) -> list[ObjectChange]:
    """Applies stage by stage; a stage with a fault in it is not applied at all, and none after it.

    Args:
        record: is told what of a stage will be written, before it is.
        dry_run_changes: what applying does, by the ids of entries, where that was tried just now.
    """
    found: list[ObjectChange] = []
    for stage in stages:
        new = [value for value in stage if entry_of(value).id not in dry_run_changes]
        tried = [dry_run_changes[entry_of(value).id] for value in stage if entry_of(value).id in dry_run_changes]
        tried += _run_parallel(partial(_dry_run, cluster, policy), new) if new else []
        if any(change.action == "failed" for change in tried):
            return [*found, *(_mark_skipped(change) for change in tried)]
        written = [change for change in tried if change.action in ("create", "configure")]
        if written:
            record(written)
        done = _run_parallel(partial(_apply_change, cluster), tried)
        found += done
        if any(change.action == "failed" for change in done):
            return found
        _wait_for_definitions(cluster, [change.value for change in done if change.action == "create"])
    return found


def _mark_skipped(change: ObjectChange) -> ObjectChange:
    if change.action in ("create", "configure"):
        reason = "not applied, for something of the same stage failed"
        return ObjectChange(change.value, "skip", reason, cause=ChangeCause.STAGE_FAILED)
    return change


def _run_parallel(work: Callable[..., ObjectChange], items: Sequence[object]) -> list[ObjectChange]:
    with ThreadPoolExecutor(MAX_WORKERS) as pool:
        return list(pool.map(work, items))


def _dry_run(cluster: DynamicClient, policy: ApplyPolicy, value: Object) -> ObjectChange:
    """What applying an object would do, as the cluster itself says in a dry run."""
    metadata, manner, live = value["metadata"], ApplyOptions(), None
    try:
        kind = cluster.find_kind(value["apiVersion"], value["kind"])
        if kind is None:
            reason = f"the kind {value['kind']} of {value['apiVersion']} is not there"
            return ObjectChange(value, "failed", reason, cause=ChangeCause.MISSING_KIND)
        if kind.is_namespaced and not metadata.get("namespace"):
            return ObjectChange(value, "failed", "it has no namespace: write one, or set `targetNamespace`")
        live = cluster.get(kind, metadata.get("namespace") or "", metadata["name"])
        manner = policy(value, live)
        value = manner.adjusted or value
        if manner.is_skipped:
            return ObjectChange(value, "skip", "it says that it is left alone", live=live)
        made = _write_object(cluster, kind, value, manner, live, True)
    except ApiStatusError as error:
        if error.code == NOT_FOUND and metadata.get("namespace"):
            reason = f"its namespace {metadata['namespace']} is not there"
            return ObjectChange(value, "failed", reason, cause=ChangeCause.MISSING_NAMESPACE)
        if error.is_immutable and manner.is_forced:
            return ObjectChange(value, "configure", RECREATED, live=live, options=manner, cause=ChangeCause.RECREATE)
        return ObjectChange(value, "failed", str(error), live=live)
    except ToolError as error:
        return ObjectChange(value, "failed", str(error))
    if live is None:
        return ObjectChange(value, "create", options=manner)
    adopts = (
        manner.should_adopt
        and not manner.is_replaced
        and bool(field_managers.build_takeover_patch(live, FIELD_MANAGER))
    )
    fields = tuple(diff.list_differences(manner.normalize(made), manner.normalize(live)))
    if not fields:
        if adopts:
            return ObjectChange(value, "configure", ADOPTED, live=live, options=manner, cause=ChangeCause.TAKEOVER)
        return ObjectChange(value, "unchanged", live=live, options=manner)
    return ObjectChange(value, "configure", "", fields, diff.find_last_manager(live, FIELD_MANAGER), live, manner)


NOT_TRIED = "not tried: what it needs is made in the same run"
ADOPTED = "its fields are taken over from who has applied it before"
RECREATED = "a field of it cannot be changed: it is deleted and made anew"


def _write_object(
    cluster: DynamicClient, kind: Kind, value: Object, options: ApplyOptions, live: Object | None, is_dry: bool
) -> Object:
    if options.is_replaced and live is not None:
        version = {"resourceVersion": live["metadata"]["resourceVersion"]}
        return cluster.replace(kind, {**value, "metadata": {**value["metadata"], **version}}, FIELD_MANAGER, is_dry)
    return cluster.apply(kind, value, FIELD_MANAGER, is_dry)


def _apply_change(cluster: DynamicClient, change: ObjectChange) -> ObjectChange:
    value, metadata = change.value, change.value["metadata"]
    if change.action not in ("create", "configure"):
        return change
    try:
        kind = cluster.find_kind(value["apiVersion"], value["kind"])
        assert kind is not None
        if change.cause is ChangeCause.RECREATE:
            live = cluster.get(kind, metadata.get("namespace") or "", metadata["name"])
            if live is not None:
                cluster.delete(kind, metadata.get("namespace") or "", metadata["name"], live["metadata"]["uid"])
            cluster.apply(kind, value, FIELD_MANAGER, False)
            return change
        if change.action == "configure" and change.options.should_adopt and not change.options.is_replaced:
            _adopt_fields(cluster, kind, value)
        _write_object(cluster, kind, value, change.options, change.live, False)
    except ToolError as error:
        return ObjectChange(value, "failed", str(error), live=change.live)
    return change


def _adopt_fields(cluster: DynamicClient, kind: Kind, value: Object) -> None:
    """Takes over what others have applied of an object; whoever changes it just now is met by the next round."""
    metadata = value["metadata"]
    live = cluster.get(kind, metadata.get("namespace") or "", metadata["name"])
    found = field_managers.build_takeover_patch(live, FIELD_MANAGER) if live is not None else {}
    if live is None or not found:
        return
    try:
        cluster.patch(kind, live, {"metadata": found})
    except ApiStatusError as error:
        if error.code != CONFLICT:
            raise


def _wait_for_definitions(cluster: DynamicClient, created: Sequence[Object]) -> None:
    """Waits until the cluster serves what new definitions define."""
    wanted = [
        (f"{one['spec']['group']}/{version['name']}", one["spec"]["names"]["kind"])
        for one in created
        if one["kind"] == DEFINITION_KIND
        for version in one["spec"]["versions"]
        if version.get("served")
    ]
    end = time.monotonic() + DEFINITION_TIMEOUT_SECONDS
    for api_version, kind in wanted:
        while cluster.find_kind(api_version, kind) is None and time.monotonic() < end:
            time.sleep(0.1)


class PruneResult(NamedTuple):
    """What becomes of an object that was applied before and is not any more."""

    entry: InventoryEntry
    action: Literal["delete", "keep", "gone", "failed"]
    reason: str = ""


def list_failed(changes: Iterable[ObjectChange | None]) -> list[ObjectChange]:
    """Those that cannot be done."""
    return [one for one in changes if one is not None and one.action == "failed"]


# Why an object of the cluster is not taken away; empty where it may go.
KeepReason = Callable[[Object], str]


def plan_prune(cluster: DynamicClient, entries: Sequence[InventoryEntry], keep_reason: KeepReason) -> list[PruneResult]:
    """What would be taken away, in the order in which it is given; nothing is."""
    return [_decide_prune(cluster, entry, keep_reason) for entry in entries]


def _decide_prune(cluster: DynamicClient, entry: InventoryEntry, keep_reason: KeepReason) -> PruneResult:
    try:
        kind = cluster.find_kind(entry.api_version, entry.kind)
        live = cluster.get(kind, entry.namespace, entry.name) if kind else None
    except ToolError as error:
        return PruneResult(entry, "failed", str(error))
    if live is None:
        return PruneResult(entry, "gone")
    reason = keep_reason(live)
    return PruneResult(entry, "keep", reason) if reason else PruneResult(entry, "delete")


def prune_objects(
    cluster: DynamicClient,
    plan: Sequence[PruneResult],
    keep_reason: KeepReason,
    propagation: Propagation = "Background",
) -> list[PruneResult]:
    """Takes away what was found to go; each is looked at once more before."""
    found = []
    for one in plan:
        entry = one.entry
        now = _decide_prune(cluster, entry, keep_reason) if one.action == "delete" else one
        if now.action == "delete":
            try:
                kind = cluster.find_kind(entry.api_version, entry.kind)
                live = cluster.get(kind, entry.namespace, entry.name) if kind else None
                if kind is not None and live is not None:
                    cluster.delete(kind, entry.namespace, entry.name, live["metadata"]["uid"], propagation)
            except ToolError as error:
                now = PruneResult(entry, "failed", str(error))
        found.append(now)
    return found
