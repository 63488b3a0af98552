"""Round after round of fetching: what is due, when the next is, and what failed left alone for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from gatekeeper.externalsecrets import fetch_plan, refresh_schedule, sync
from gatekeeper.externalsecrets.collection import Found
from gatekeeper.externalsecrets.fetch_plan import StoreKey
from gatekeeper.externalsecrets.model import Wanted
from gatekeeper.externalsecrets.sync import Done, Name, Round
from gatekeeper.stores.pool import Kept, Pause, pause
from gatekeeper.stores.protocol import Store

if TYPE_CHECKING:
    from lightkube import Client


class Seen(NamedTuple):
    """What is known of an ExternalSecret that was read in an earlier round.

    Attributes:
        wanted: as it was then; when it asks for something else it is read at once.
        read_at: when it was read, seconds since 1970; None where it failed.
        is_made: whether its Secret was then as it shall be, so that one that differs is mended.
        paused: how long it is left alone where it failed.
    """

    wanted: Wanted
    read_at: float | None
    is_made: bool
    paused: Pause | None


def _source(found: Found, key: StoreKey) -> Any:
    """What a store is opened from: of the object only what it asks for, for its status changes all the time."""
    value = found.stores.get(key.object)
    return value and {field: value.get(field) for field in ("apiVersion", "kind", "spec")}


def _at(seen: Seen, now: float) -> float:
    """When an ExternalSecret is due again, by what is remembered: seconds since 1970."""
    # The clock has jumped.
    if seen.read_at is None or seen.read_at > now:
        return now
    if seen.wanted.refresh != "Periodic" or seen.wanted.interval <= 0:
        return refresh_schedule.NEVER
    return refresh_schedule.next_after(seen.wanted, seen.read_at)


class Watch:
    """Rounds over the same ExternalSecrets, one after the other.

    Args:
        open_: signs in to a store, given its key and the object.
    """

    def __init__(self, open_: Callable[[StoreKey, Any], Store]) -> None:
        self._stores = Kept(open_)
        self._seen: dict[Name, Seen] = {}

    def round(
        self,
        cluster: Client | None,
        found: Found,
        objects: Mapping[Name, Any],
        is_written: bool = True,
        is_forced: bool = False,
    ) -> Done:
        """One round: reads what is due and decides; and does it, if so asked.

        Args:
            objects: the ExternalSecrets as they are in the cluster, where they come from there.
            is_forced: read all, due or not.
        """
        now = time.time()
        round_ = sync.begin(cluster, found, objects, now, not is_written)
        due = found.wanted if is_forced else [one for one in found.wanted if self._is_due(round_, one)]
        done = sync.decided(round_, due, lambda key: self._stores.store(key, _source(found, key)))
        self._stores.learn({key: _source(found, key) for key in done.plan}, done.fetched.faults)
        if is_written and cluster is not None:
            sync.refuse(round_, found.refused)
            done = sync.written(round_, done)
        self._note(found, done, now)
        return done

    def _is_due(self, round_: Round, wanted: Wanted) -> bool:
        seen = self._seen.get((wanted.namespace, wanted.name))
        if seen is not None and seen.wanted == wanted:
            if seen.paused is not None:
                return time.monotonic() >= seen.paused.until
            existing = round_.existing.get((wanted.namespace, wanted.target.name))
            if seen.is_made and round_.cluster is not None and not refresh_schedule.is_valid(wanted, existing):
                return True
            # A Secret that was waited for is there.
            if not seen.is_made and wanted.target.creation == "Merge" and existing is not None:
                return True
            return _at(seen, round_.now) <= round_.now
        return sync.is_due(round_, wanted)

    def _note(self, found: Found, done: Done, now: float) -> None:
        names = {(one.namespace, one.name) for one in found.wanted}
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
        for one in done.decisions:
            name = (one.wanted.namespace, one.wanted.name)
            before = self._seen.get(name)
            if one.action == "failed":
                paused = before.paused if before and before.wanted == one.wanted else None
                self._seen[name] = Seen(one.wanted, None, False, pause(paused, time.monotonic()))
            else:
                self._seen[name] = Seen(one.wanted, now, one.is_synced and one.action != "delete", None)

    def forget(self, stores: Collection[StoreKey]) -> None:
        """Reads at once what comes from some stores, over a new sign-in: they are others, or what they sign in with is.

        Args:
            stores: by their objects; see `StoreKey.object`.
        """
        for name, seen in list(self._seen.items()):
            keys = fetch_plan.keys_of(seen.wanted)
            if any(key.object in stores for key in keys):
                self._seen[name] = seen._replace(read_at=None, paused=None)
                for key in keys:
                    self._stores.forget(key)

    def next(self, longest: float) -> float:
        """How many seconds nothing that was read is due again; no more than the longest."""
        now, tick = time.time(), time.monotonic()
        waits = [seen.paused.until - tick if seen.paused else _at(seen, now) - now for seen in self._seen.values()]
        return max(0.0, min([longest, *waits]))

    def close(self) -> None:
        """Closes all stores."""
        self._stores.close()
