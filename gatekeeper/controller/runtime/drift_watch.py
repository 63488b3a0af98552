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

from gatekeeper.apply.inventory import Entry
from gatekeeper.apply.server_side_apply import MANAGER, TELLER
from gatekeeper.cluster.dynamic_client import Object, Objects
from gatekeeper.cluster.reflector import Name, Reflector
from gatekeeper.flux import ownership
from gatekeeper.kube.labels import labels_of
from gatekeeper.model import at


class Seen(NamedTuple):
    """What is kept of an object.

    Attributes:
        owner: namespace and name of what it comes from.
        others: what others have set, and when, as a number.
        fields: which fields are ours, as a number; and
        when: since when.
    """

    owner: Name
    others: int
    fields: int
    when: str


def seen(value: Object) -> Seen:
    """What is kept of an object that a Kustomization applies."""
    labels = labels_of(value)
    return seen_of((labels.get(ownership.NAMESPACE, ""), labels.get(ownership.NAME, "")), value)


def seen_of(owner: Name, value: Object) -> Seen:
    """What is kept of an object that comes from something."""
    others, fields, when = 0, 0, ""
    for one in at(value, ("metadata", "managedFields")) or ():
        if one.get("subresource") == "status" or one.get("manager") == TELLER:
            continue
        digest = zlib.crc32(orjson.dumps(one, option=orjson.OPT_SORT_KEYS))
        if one.get("manager") == MANAGER:
            # Of ours the time is kept apart: whoever takes a field away leaves no other trace.
            fields, when = zlib.crc32(orjson.dumps(one.get("fieldsV1"))), str(one.get("time"))
        else:
            others ^= digest
    return Seen(owner, others, fields, when)


class Owned:
    """The watches of all kinds that anything applied is of.

    Args:
        keep: what is kept of an object; None where nobody applies it.
        selector: of the labels that what is applied has; empty where it has none.
        drifted: is told whose object was changed by somebody else.
        touched: is told whose object was changed at all.
    """

    def __init__(
        self,
        cluster: Objects,
        drifted: Callable[[Name], None],
        touched: Callable[[Name], None],
        fault: Callable[[str, str], None],
        keep: Callable[[Object], Seen | None] = seen,
        selector: str = ownership.NAME,
    ) -> None:
        self._cluster, self._drifted, self._touched = cluster, drifted, touched
        self._fault, self._keep, self._selector = fault, keep, selector
        self._watches: dict[tuple[str, str], Reflector[Seen]] = {}
        self._changing = threading.Lock()

    def follow(self, entries: Iterable[Entry]) -> None:
        """Watches the kinds of what is applied, if that is not done already."""
        for group, version, kind in {(one.group, one.version, one.kind) for one in entries}:
            with self._changing:
                if (group, kind) in self._watches:
                    continue
                served = self._cluster.kind(f"{group}/{version}" if group else version, kind)
                if served is None:
                    continue
                told, lost = partial(self._happened, (group, kind)), partial(self._fault, kind)
                watch = Reflector(self._cluster, served, self._keep, told, self._selector, True, lost)
                self._watches[group, kind] = watch
                watch.start()

    def _happened(self, key: tuple[str, str], name: Name, before: Seen | None, now: Seen | None) -> None:
        if before is None:
            if now is not None:
                # Between applying and the first look somebody may have changed it: once more.
                is_first = not self._watches[key].is_synced.is_set()
                (self._drifted if is_first else self._touched)(now.owner)
            return
        # What we take away ourselves is looked at once more, too: who it was cannot be told from its end.
        if is_drift(before, now):
            self._drifted(before.owner)
        else:
            self._touched(before.owner)

    def stop(self) -> None:
        """Ends the watches, as soon as they hear of anything."""
        for watch in list(self._watches.values()):
            watch.stop()

    def of(self, owner: Name) -> list[tuple[tuple[str, str], Name]]:
        """What is there of something: group and kind, and the name, of each object."""
        return [
            (key, name) for key, watch in list(self._watches.items()) for name, one in watch.all() if one.owner == owner
        ]

    def version(self, group: str, kind: str) -> str:
        """In which version a kind is watched."""
        return self._watches[group, kind].kind.api_version.rpartition("/")[2]

    def __len__(self) -> int:
        """How many objects are watched."""
        return sum(len(watch.all()) for watch in self._watches.values())


def is_drift(before: Seen, now: Seen | None) -> bool:
    """Whether somebody else has changed an object, or taken it away."""
    if now is None or now.others != before.others:
        return True
    return now.fields != before.fields and now.when == before.when
