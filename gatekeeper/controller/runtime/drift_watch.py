"""Watches the metadata of applied objects, so that drift is corrected at once.

An object's `managedFields` say who set which fields, and when. What the cluster writes (the status), and what this
controller has applied, is not drift.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterable
from functools import partial

import orjson

from gatekeeper.apply.changes import FIELD_MANAGER, STATUS_MANAGER
from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.cluster.reflector import Reflector
from gatekeeper.model import NamespacedName, Object, get_field
from gatekeeper.named_tuple import NamedTuple


class ObservedObject(NamedTuple):
    """What is kept of an applied object.

    Attributes:
        owner: namespace and name of the Kustomization or Application that applies it.
        foreign_digest: checksum of the fields that others have set, and when.
        own_fields_digest: checksum of the fields that this controller has set.
        own_fields_time: when it set them.
    """

    owner: NamespacedName
    foreign_digest: int
    own_fields_digest: int
    own_fields_time: str


def observe_object(owner: NamespacedName, value: Object) -> ObservedObject:
    """Observe an object of an owner by its metadata."""
    foreign_digest, own_fields_digest, own_fields_time = 0, 0, ""
    for manager in get_field(value, ("metadata", "managedFields")) or ():
        if manager.get("subresource") == "status" or manager.get("manager") == STATUS_MANAGER:
            continue
        if manager.get("manager") == FIELD_MANAGER:
            # The time is compared separately: someone who only removes a field leaves no other trace.
            own_fields_digest = zlib.crc32(orjson.dumps(manager.get("fieldsV1")))
            own_fields_time = str(manager.get("time"))
        else:
            foreign_digest ^= zlib.crc32(orjson.dumps(manager, option=orjson.OPT_SORT_KEYS))
    return ObservedObject(owner, foreign_digest, own_fields_digest, own_fields_time)


def is_drift(old: ObservedObject, new: ObservedObject | None) -> bool:
    """Whether someone else has changed or deleted an object."""
    if new is None or new.foreign_digest != old.foreign_digest:
        return True
    return new.own_fields_digest != old.own_fields_digest and new.own_fields_time == old.own_fields_time


class AppliedObjects(NamedTuple):
    """How applied objects are recognised.

    Attributes:
        observe: what is kept of an object; None for an object that nothing applies.
        selector: label selector of applied objects; empty for all objects of a kind.
    """

    observe: Callable[[Object], ObservedObject | None]
    selector: str


class DriftWatch:
    """One reflector for each kind of applied object.

    Args:
        on_drift: called with the owner of an object that someone else has changed.
        on_change: called with the owner of an object that has changed in any other way.
        on_fault: called with the kind and the reason when a watch fails.
        applied: how applied objects are recognised.
    """

    def __init__(
        self,
        cluster: DynamicClient,
        on_drift: Callable[[NamespacedName], None],
        on_change: Callable[[NamespacedName], None],
        on_fault: Callable[[str, str], None],
        applied: AppliedObjects,
    ) -> None:
        self._cluster, self._on_drift, self._on_change = cluster, on_drift, on_change
        self._on_fault, self._applied = on_fault, applied
        self._reflectors: dict[tuple[str, str], Reflector[ObservedObject]] = {}
        self._reflectors_lock = threading.Lock()

    def watch_entries(self, entries: Iterable[InventoryEntry]) -> None:
        """Watch the kinds of applied objects, if they are not watched already."""
        for group, version, kind in {(entry.group, entry.version, entry.kind) for entry in entries}:
            with self._reflectors_lock:
                if (group, kind) in self._reflectors:
                    continue
                served_kind = self._cluster.find_kind(f"{group}/{version}" if group else version, kind)
                if served_kind is None:
                    continue
                reflector = Reflector(
                    self._cluster,
                    served_kind,
                    self._applied.observe,
                    partial(self._handle_event, (group, kind)),
                    self._applied.selector,
                    is_metadata_only=True,
                    on_error=partial(self._on_fault, kind),
                )
                self._reflectors[group, kind] = reflector
                reflector.start()

    def _handle_event(
        self, key: tuple[str, str], name: NamespacedName, old: ObservedObject | None, new: ObservedObject | None
    ) -> None:
        if old is None:
            if new is not None:
                # Someone may have changed it between the apply and the first list.
                is_first_list = not self._reflectors[key].is_synced.is_set()
                (self._on_drift if is_first_list else self._on_change)(new.owner)
            return
        # A deletion counts as drift even if this controller did it: the event does not say who deleted it.
        if is_drift(old, new):
            self._on_drift(old.owner)
        else:
            self._on_change(old.owner)

    def stop(self) -> None:
        """Stop the reflectors; each ends at its next event."""
        for reflector in list(self._reflectors.values()):
            reflector.stop()

    def list_objects(self, owner: NamespacedName) -> list[InventoryEntry]:
        """List the watched objects of an owner, in the watched version of their kind."""
        return [
            InventoryEntry(namespace, name, group, kind, reflector.kind.api_version.rpartition("/")[2])
            for (group, kind), reflector in list(self._reflectors.items())
            for (namespace, name), observed in reflector.list_objects()
            if observed.owner == owner
        ]
