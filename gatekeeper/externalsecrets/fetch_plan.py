"""What has to be read for all ExternalSecrets together: each secret of each store once, however many ask for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from gatekeeper.errors import GateError
from gatekeeper.externalsecrets.model import Find, Remote, StoreRef, Wanted
from gatekeeper.secret_value import Hidden
from gatekeeper.stores.protocol import Missing, Outcome, Query, Store, StoreError, Wish

# So many stores are read at a time.
AT_ONCE = 8
HOUR, MONTH = 3600.0, 30 * 24 * 3600.0


class StoreKey(NamedTuple):
    """One store that is signed in to: its kind, its namespace, and its name.

    A ClusterSecretStore has the namespace of who asks where it signs in with what is there, and else none.
    """

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        if self.kind == "ClusterSecretStore":
            return f"{self.kind} {self.name}{f' (from {self.namespace})' if self.namespace else ''}"
        return f"{self.kind} {self.namespace}/{self.name}"

    @property
    def object(self) -> StoreKey:
        """The store itself, whoever asks."""
        return self._replace(namespace="") if self.kind == "ClusterSecretStore" else self


class Part(NamedTuple):
    """What one store is asked: wishes and queries, each once, and how many references they serve.

    Attributes:
        intervals: how often each wish, in order, is to be read again: seconds; 0 for once.
    """

    wishes: tuple[Wish, ...]
    queries: tuple[Query, ...]
    references: int
    intervals: tuple[float, ...] = ()

    def monthly(self, at_once: int) -> float:
        """How many requests that makes in thirty days, where one request reads several.

        What is read at other times cannot share a request; a search counts as one for each hour.
        """
        groups = Counter(interval for interval in self.intervals if interval)
        reads = sum(math.ceil(count / at_once) * MONTH / interval for interval, count in groups.items())
        return reads + len(self.queries) * MONTH / HOUR


Plan = Mapping[StoreKey, Part]


def key_of(store: StoreRef, namespace: str) -> StoreKey:
    """The store that an ExternalSecret of a namespace means."""
    return StoreKey(store.kind, "" if store.kind == "ClusterSecretStore" and store.is_shared else namespace, store.name)


def keys_of(wanted: Wanted) -> set[StoreKey]:
    """All stores that an ExternalSecret is filled from."""
    refs = [*(item.store for item in wanted.items), *(many.store for many in wanted.many)]
    return {key_of(ref, wanted.namespace) for ref in refs}


def wish_of(remote: Remote) -> Wish:
    """What has to be read for a reference; its property is a part of that."""
    return Wish(remote.key, remote.version, remote.metadata)


def query_of(find: Find) -> Query:
    """What has to be asked for a search."""
    return Query(find.path, find.name, find.tags)


def plan(wanted: Iterable[Wanted]) -> Plan:
    """What is read, by store, in order."""
    wishes: dict[StoreKey, dict[Wish, list[float]]] = {}
    queries: dict[StoreKey, list[Query]] = {}
    for one in wanted:
        interval = one.interval if one.refresh == "Periodic" else 0.0
        for item in one.items:
            held = wishes.setdefault(key_of(item.store, one.namespace), {})
            held.setdefault(wish_of(item.remote), []).append(interval)
        for many in one.many:
            key = key_of(many.store, one.namespace)
            if isinstance(many.what, Remote):
                wishes.setdefault(key, {}).setdefault(wish_of(many.what), []).append(interval)
            elif query_of(many.what) not in queries.setdefault(key, []):
                queries[key].append(query_of(many.what))
    return {key: _part(wishes.get(key, {}), queries.get(key, [])) for key in sorted(wishes.keys() | queries.keys())}


def _part(wishes: Mapping[Wish, list[float]], queries: list[Query]) -> Part:
    order = tuple(sorted(wishes))
    # Whoever wants it most often decides.
    intervals = tuple(min((one for one in wishes[wish] if one), default=0.0) for wish in order)
    return Part(order, tuple(queries), sum(map(len, wishes.values())) + len(queries), intervals)


class Fetched(NamedTuple):
    """What the stores gave, or why they did not; and how many requests that took.

    Attributes:
        faults: why a store gave nothing at all.
    """

    values: Mapping[tuple[StoreKey, Wish], Outcome]
    found: Mapping[StoreKey, list[tuple[Query, Mapping[str, Hidden] | StoreError]]]
    calls: Mapping[StoreKey, int]
    faults: Mapping[StoreKey, StoreError]

    def value(self, key: StoreKey, wish: Wish) -> Hidden:
        """One value.

        Raises:
            Missing: the store has none.
            StoreError: it could not be read.
        """
        outcome = self.values[key, wish]
        if isinstance(outcome, StoreError):
            raise outcome
        return outcome

    def all(self, key: StoreKey, query: Query) -> Mapping[str, Hidden]:
        """What a search found.

        Raises:
            Missing: nothing at all.
            StoreError: it could not be searched.
        """
        outcome = next(outcome for asked, outcome in self.found[key] if asked == query)
        if isinstance(outcome, StoreError):
            raise outcome
        if not outcome:
            raise Missing(f"nothing in {key} is called or marked as `find` says")
        return outcome


def fetch(plan: Plan, opened: Callable[[StoreKey], Store]) -> Fetched:
    """Reads all of a plan: several stores at once.

    Args:
        opened: gives a store that is signed in to; why it cannot is then why all its secrets cannot be read.
    """
    values: dict[tuple[StoreKey, Wish], Outcome] = {}
    found: dict[StoreKey, list[tuple[Query, Mapping[str, Hidden] | StoreError]]] = {}
    calls: dict[StoreKey, int] = {}
    faults: dict[StoreKey, StoreError] = {}

    def read(key: StoreKey) -> None:
        part = plan[key]
        try:
            store = opened(key)
        except GateError as error:
            faults[key] = error if isinstance(error, StoreError) else StoreError(str(error))
            fault = StoreError(f"{key}: {faults[key]}", faults[key].may_pass, True)
            values.update(((key, wish), fault) for wish in part.wishes)
            found[key] = [(query, fault) for query in part.queries]
            return
        before = store.calls
        outcomes = store.read(part.wishes)
        searched = [_searched(store, query) for query in part.queries]
        calls[key] = store.calls - before
        failed = [one for one in (*outcomes, *searched) if isinstance(one, StoreError) and not isinstance(one, Missing)]
        whole = [one for one in failed if one.is_whole]
        # Where all is refused, what it signed in with may have ended or changed.
        if whole or len(failed) == len(outcomes) + len(searched):
            faults[key] = (whole or failed)[0]
        values.update(((key, wish), _of(key, outcome)) for wish, outcome in zip(part.wishes, outcomes, strict=True))
        found[key] = [(query, _of(key, outcome)) for query, outcome in zip(part.queries, searched, strict=True)]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(read, plan))
    return Fetched(values, found, calls, faults)


T = TypeVar("T")


def _of(key: StoreKey, outcome: T | StoreError) -> T | StoreError:
    """An outcome; with the name of the store where it is the store that failed."""
    if isinstance(outcome, StoreError) and outcome.is_whole:
        return StoreError(f"{key}: {outcome}", outcome.may_pass, True)
    return outcome


def _searched(store: Store, query: Query) -> Mapping[str, Hidden] | StoreError:
    try:
        return store.find(query)
    except StoreError as error:
        return error
