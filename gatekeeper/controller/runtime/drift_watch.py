"""What was applied, watched by its metadata alone: who changes or deletes it is noticed at once.

An object's `managedFields` say who has set which fields, and when: what the cluster itself writes of an object (its
status) is no drift, and neither is what we have applied ourselves.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import orjson

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.apply.server_side_apply import FIELD_MANAGER, STATUS_MANAGER
from gatekeeper.cluster.dynamic_client import DynamicClient, Object
from gatekeeper.cluster.reflector import NamespacedName, Reflector
from gatekeeper.flux import ownership
from gatekeeper.kube.labels import read_labels
from gatekeeper.model import get_field


class ObservedObject(NamedTuple):
    """What is kept of an object.

    Attributes:
        owner: namespace and name of what it comes from.
        foreign_digest: what others have set, and when, as a number.
        own_fields_digest: which fields are ours, as a number; and
        own_fields_time: since when.
    """

    owner: NamespacedName
    foreign_digest: int
    own_fields_digest: int
    own_fields_time: str


def observe_kustomization_object(value: Object) -> ObservedObject:
    """What is kept of an object that a Kustomization applies."""
    labels = read_labels(value)
    return observe_object((labels.get(ownership.NAMESPACE_LABEL, ""), labels.get(ownership.NAME_LABEL, "")), value)


def observe_object(owner: NamespacedName, value: Object) -> ObservedObject:
    """What is kept of an object that comes from something."""
    others, fields, when = 0, 0, ""
    for one in get_field(value, ("metadata", "managedFields")) or ():
        if one.get("subresource") == "status" or one.get("manager") == STATUS_MANAGER:
            continue
        digest = zlib.crc32(orjson.dumps(one, option=orjson.OPT_SORT_KEYS))
        if one.get("manager") == FIELD_MANAGER:
            # Of ours the time is kept apart: whoever takes a field away leaves no other trace.
            fields, when = zlib.crc32(orjson.dumps(one.get("fieldsV1"))), str(one.get("time"))
        else:
            others ^= digest
    return ObservedObject(owner, others, fields, when)


class DriftWatch:
    """The watches of all kinds that anything applied is of.

    Args:
        keep: what is kept of an object; None where nobody applies it.
        selector: of the labels that what is applied has; empty where it has none.
        drifted: is told whose object was changed by somebody else.
        touched: is told whose object was changed at all.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        on_drift: Callable[[NamespacedName], None],
        on_change: Callable[[NamespacedName], None],
        on_fault: Callable[[str, str], None],
        observe: Callable[[Object], ObservedObject | None] = observe_kustomization_object,
        selector: str = ownership.NAME_LABEL,
    ) -> None:
        self._cluster, self._on_drift, self._on_change = cluster, on_drift, on_change
        self._on_fault, self._observe, self._selector = on_fault, observe, selector
        self._reflectors: dict[tuple[str, str], Reflector[ObservedObject]] = {}
        self._reflectors_lock = threading.Lock()

    def watch_entries(self, entries: Iterable[InventoryEntry]) -> None:
        """Watches the kinds of what is applied, if that is not done already."""
        for group, version, kind in {(one.group, one.version, one.kind) for one in entries}:
            with self._reflectors_lock:
                if (group, kind) in self._reflectors:
                    continue
                served = self._cluster.find_kind(f"{group}/{version}" if group else version, kind)
                if served is None:
                    continue
                told, lost = partial(self._handle_event, (group, kind)), partial(self._on_fault, kind)
                watch = Reflector(self._cluster, served, self._observe, told, self._selector, True, lost)
                self._reflectors[group, kind] = watch
                watch.start()

    def _handle_event(
        self, key: tuple[str, str], name: NamespacedName, old: ObservedObject | None, new: ObservedObject | None
    ) -> None:
        if old is None:
            if new is not None:
                # Between applying and the first look somebody may have changed it: once more.
                is_first = not self._reflectors[key].is_synced.is_set()
                (self._on_drift if is_first else self._on_change)(new.owner)
            return
        # What we take away ourselves is looked at once more, too: who it was cannot be told from its end.
        if is_drift(old, new):
            self._on_drift(old.owner)
        else:
            self._on_change(old.owner)

    def stop(self) -> None:
        """Ends the watches, as soon as they hear of anything."""
        for watch in list(self._reflectors.values()):
            watch.stop()

    def list_objects(self, owner: NamespacedName) -> list[tuple[tuple[str, str], NamespacedName]]:
        """What is there of something: group and kind, and the name, of each object."""
        return [
            (key, name)
            for key, watch in list(self._reflectors.items())
            for name, one in watch.list_objects()
            if one.owner == owner
        ]

    def find_watched_version(self, group: str, kind: str) -> str:
        """In which version a kind is watched."""
        return self._reflectors[group, kind].kind.api_version.rpartition("/")[2]

    def __len__(self) -> int:
        """How many objects are watched."""
        return sum(len(watch.list_objects()) for watch in self._reflectors.values())


def is_drift(old: ObservedObject, new: ObservedObject | None) -> bool:
    """Whether somebody else has changed an object, or taken it away."""
    if new is None or new.foreign_digest != old.foreign_digest:
        return True
    return new.own_fields_digest != old.own_fields_digest and new.own_fields_time == old.own_fields_time
