"""What applying objects does to a cluster: told first, and then done, stage by stage; and what is taken away.

Source: kustomize-controller `internal/controller/kustomization_controller.go`, fluxcd/pkg `ssa/manager_apply.go`.
Unlike there, all faults of a stage are told and not the first alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType
from typing import Literal, NamedTuple

from gatekeeper.apply import diff, field_managers, order
from gatekeeper.apply.inventory import Entry, entry_of
from gatekeeper.cluster.dynamic_client import CONFLICT, NOT_FOUND, Kind, Object, Objects, Propagation, Refusal
from gatekeeper.errors import ToolError
from gatekeeper.model import FieldPath, at

MANAGER = "gatekeeper"
# Whoever writes the status of what has no subresource for it.
TELLER = "gatekeeper-status"
AT_ONCE = 4
# So long a definition may take until the cluster serves it.
SECONDS = 60.0
Action = Literal["create", "configure", "unchanged", "skip", "failed"]


def _same(value: Object) -> Object:
    return value


class Manner(NamedTuple):
    """How one object is applied, as it or who applies it says.

    Attributes:
        value: what is applied, where that is another than what is asked for.
        is_left_alone: whether it is not applied at all.
        is_forced: whether it is made anew where a field of it cannot be changed.
        is_replaced: whether it is written as a whole, and what others have set of it is gone.
        adopts: whether fields are taken over that others have applied before.
        shown: what of it counts where it is compared.
    """

    value: Object | None = None
    is_left_alone: bool = False
    is_forced: bool = False
    is_replaced: bool = False
    adopts: bool = True
    shown: Callable[[Object], Object] = _same


# Of an object, and of what is in the cluster.
How = Callable[[Object, Object | None], Manner]


class Change(NamedTuple):
    """What applying one object does.

    Attributes:
        reason: why, where that is not plain.
        fields: which differ; and
        by: who has changed them.
        live: what is in the cluster; None where nothing is, or it could not be looked at.
    """

    value: Object
    action: Action
    reason: str = ""
    fields: tuple[FieldPath, ...] = ()
    by: str = ""
    live: Object | None = None
    manner: Manner = Manner()

    def __str__(self) -> str:
        return str(entry_of(self.value))


def planned(cluster: Objects, stages: Sequence[Sequence[Object]], how: How) -> list[Change]:
    """What applying would do, in order; nothing is written."""
    objects = [one for stage in stages for one in stage]
    made = {(one["spec"]["group"], one["spec"]["names"]["kind"]) for one in objects if one["kind"] == DEFINITION}
    spaces = {one["metadata"]["name"] for one in objects if one["kind"] == "Namespace"}
    found: list[Change] = []
    for stage in stages:
        found += [_forgiven(change, made, spaces) for change in _side_by_side(partial(_tried, cluster, how), stage)]
    return found


DEFINITION = "CustomResourceDefinition"


def _forgiven(change: Change, made: set[tuple[str, str]], spaces: set[str]) -> Change:
    """What cannot be tried now, because what it needs is made in the same run."""
    value = change.value
    needs_kind = (order.group_of(value), value["kind"]) in made
    needs_space = at(value, ("metadata", "namespace")) in spaces
    if change.action == "failed" and "is not there" in change.reason and (needs_kind or needs_space):
        return Change(value, "create", UNTRIED)
    return change


Note = Callable[[Sequence[Change]], None]


def applied(
    cluster: Objects,
    stages: Sequence[Sequence[Object]],
    how: How,
    note: Note = lambda changes: None,
    known: Mapping[str, Change] = MappingProxyType({}),
) -> list[Change]:
    """Applies stage by stage; a stage with a fault in it is not applied at all, and none after it.

    Args:
        note: is told what of a stage will be written, before it is.
        known: what applying does, by the ids of entries, where that was tried just now.
    """
    found: list[Change] = []
    for stage in stages:
        new = [value for value in stage if entry_of(value).id not in known]
        tried = [known[entry_of(value).id] for value in stage if entry_of(value).id in known]
        tried += _side_by_side(partial(_tried, cluster, how), new) if new else []
        if any(change.action == "failed" for change in tried):
            return [*found, *(_not_done(change) for change in tried)]
        written = [change for change in tried if change.action in ("create", "configure")]
        if written:
            note(written)
        done = _side_by_side(partial(_written, cluster), tried)
        found += done
        if any(change.action == "failed" for change in done):
            return found
        _await(cluster, [change.value for change in done if change.action == "create"])
    return found


def _not_done(change: Change) -> Change:
    if change.action in ("create", "configure"):
        return Change(change.value, "skip", "not applied, for something of the same stage failed")
    return change


def _side_by_side(work: Callable[..., Change], what: Sequence[object]) -> list[Change]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, what))


def _tried(cluster: Objects, how: How, value: Object) -> Change:
    """What applying an object would do, as the cluster itself says in a dry run."""
    metadata, manner, live = value["metadata"], Manner(), None
    try:
        kind = cluster.kind(value["apiVersion"], value["kind"])
        if kind is None:
            return Change(value, "failed", f"the kind {value['kind']} of {value['apiVersion']} is not there")
        if kind.is_namespaced and not metadata.get("namespace"):
            return Change(value, "failed", "it has no namespace: write one, or set `targetNamespace`")
        live = cluster.get(kind, metadata.get("namespace") or "", metadata["name"])
        manner = how(value, live)
        value = manner.value or value
        if manner.is_left_alone:
            return Change(value, "skip", "it says that it is left alone", live=live)
        made = _put(cluster, kind, value, manner, live, True)
    except Refusal as error:
        if error.code == NOT_FOUND and metadata.get("namespace"):
            return Change(value, "failed", f"its namespace {metadata['namespace']} is not there")
        if error.is_immutable and manner.is_forced:
            return Change(value, "configure", REMADE, live=live, manner=manner)
        return Change(value, "failed", str(error), live=live)
    except ToolError as error:
        return Change(value, "failed", str(error))
    if live is None:
        return Change(value, "create", manner=manner)
    adopts = manner.adopts and not manner.is_replaced and bool(field_managers.changes(live, MANAGER))
    fields = tuple(diff.differences(manner.shown(made), manner.shown(live)))
    if not fields:
        return Change(value, "configure" if adopts else "unchanged", ADOPTED if adopts else "", (), "", live, manner)
    return Change(value, "configure", "", fields, diff.whose(live, MANAGER), live, manner)


UNTRIED = "not tried: what it needs is made in the same run"
ADOPTED = "its fields are taken over from who has applied it before"
REMADE = "a field of it cannot be changed: it is deleted and made anew"


def _put(cluster: Objects, kind: Kind, value: Object, manner: Manner, live: Object | None, is_dry: bool) -> Object:
    if manner.is_replaced and live is not None:
        version = {"resourceVersion": live["metadata"]["resourceVersion"]}
        return cluster.replace(kind, {**value, "metadata": {**value["metadata"], **version}}, MANAGER, is_dry)
    return cluster.apply(kind, value, MANAGER, is_dry)


def _written(cluster: Objects, change: Change) -> Change:
    value, metadata = change.value, change.value["metadata"]
    if change.action not in ("create", "configure"):
        return change
    try:
        kind = cluster.kind(value["apiVersion"], value["kind"])
        assert kind is not None
        if change.reason == REMADE:
            live = cluster.get(kind, metadata.get("namespace") or "", metadata["name"])
            if live is not None:
                cluster.delete(kind, metadata.get("namespace") or "", metadata["name"], live["metadata"]["uid"])
            cluster.apply(kind, value, MANAGER, False)
            return change
        if change.action == "configure" and change.manner.adopts and not change.manner.is_replaced:
            _adopt(cluster, kind, value)
        _put(cluster, kind, value, change.manner, change.live, False)
    except ToolError as error:
        return Change(value, "failed", str(error), live=change.live)
    return change


def _adopt(cluster: Objects, kind: Kind, value: Object) -> None:
    """Takes over what others have applied of an object; whoever changes it just now is met by the next round."""
    metadata = value["metadata"]
    live = cluster.get(kind, metadata.get("namespace") or "", metadata["name"])
    found = field_managers.changes(live, MANAGER) if live is not None else {}
    if live is None or not found:
        return
    try:
        cluster.patch(kind, live, {"metadata": found})
    except Refusal as error:
        if error.code != CONFLICT:
            raise


def _await(cluster: Objects, made: Sequence[Object]) -> None:
    """Waits until the cluster serves what new definitions define."""
    wanted = [
        (f"{one['spec']['group']}/{version['name']}", one["spec"]["names"]["kind"])
        for one in made
        if one["kind"] == DEFINITION
        for version in one["spec"]["versions"]
        if version.get("served")
    ]
    end = time.monotonic() + SECONDS
    for api_version, kind in wanted:
        while cluster.kind(api_version, kind) is None and time.monotonic() < end:
            time.sleep(0.1)


class Gone(NamedTuple):
    """What becomes of an object that was applied before and is not any more."""

    entry: Entry
    action: Literal["delete", "keep", "gone", "failed"]
    reason: str = ""


def failed(changes: Iterable[Change | None]) -> list[Change]:
    """Those that cannot be done."""
    return [one for one in changes if one is not None and one.action == "failed"]


# Why an object of the cluster is not taken away; empty where it may go.
Keep = Callable[[Object], str]


def to_go(cluster: Objects, entries: Sequence[Entry], keep: Keep) -> list[Gone]:
    """What would be taken away, in the order in which it is given; nothing is."""
    return [_fate(cluster, entry, keep) for entry in entries]


def _fate(cluster: Objects, entry: Entry, keep: Keep) -> Gone:
    try:
        kind = cluster.kind(entry.api_version, entry.kind)
        live = cluster.get(kind, entry.namespace, entry.name) if kind else None
    except ToolError as error:
        return Gone(entry, "failed", str(error))
    if live is None:
        return Gone(entry, "gone")
    reason = keep(live)
    return Gone(entry, "keep", reason) if reason else Gone(entry, "delete")


def taken(cluster: Objects, gone: Sequence[Gone], keep: Keep, propagation: Propagation = "Background") -> list[Gone]:
    """Takes away what was found to go; each is looked at once more before."""
    found = []
    for one in gone:
        entry = one.entry
        now = _fate(cluster, entry, keep) if one.action == "delete" else one
        if now.action == "delete":
            try:
                kind = cluster.kind(entry.api_version, entry.kind)
                live = cluster.get(kind, entry.namespace, entry.name) if kind else None
                if kind is not None and live is not None:
                    cluster.delete(kind, entry.namespace, entry.name, live["metadata"]["uid"], propagation)
            except ToolError as error:
                now = Gone(entry, "failed", str(error))
        found.append(now)
    return found
