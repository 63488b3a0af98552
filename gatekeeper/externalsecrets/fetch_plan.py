"""What has to be read for all ExternalSecrets together: each secret of each store once, however many ask for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from gatekeeper.errors import GateError
from gatekeeper.externalsecrets.model import DataFromFind, ExternalSecretSpec, RemoteRef, StoreRef
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.protocol import FetchOutcome, SecretNotFoundError, SecretQuery, SecretRef, Store, StoreError

# So many stores are read at a time.
CONCURRENT_STORES = 8
HOUR_SECONDS, MONTH_SECONDS = 3600.0, 30 * 24 * 3600.0


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
    def object_key(self) -> StoreKey:
        """The store itself, whoever asks."""
        return self._replace(namespace="") if self.kind == "ClusterSecretStore" else self


class StoreReads(NamedTuple):
    """What one store is asked: wishes and queries, each once, and how many references they serve.

    Attributes:
        intervals: how often each wish, in order, is to be read again: seconds; 0 for once.
    """

    refs: tuple[SecretRef, ...]
    queries: tuple[SecretQuery, ...]
    reference_count: int
    intervals: tuple[float, ...] = ()

    def estimate_monthly_requests(self, batch_size: int) -> float:
        """How many requests that makes in thirty days, where one request reads several.

        What is read at other times cannot share a request; a search counts as one for each hour.
        """
        groups = Counter(interval for interval in self.intervals if interval)
        reads = sum(math.ceil(count / batch_size) * MONTH_SECONDS / interval for interval, count in groups.items())
        return reads + len(self.queries) * MONTH_SECONDS / HOUR_SECONDS


FetchPlan = Mapping[StoreKey, StoreReads]


def resolve_store_key(store: StoreRef, namespace: str) -> StoreKey:
    """The store that an ExternalSecret of a namespace means."""
    return StoreKey(store.kind, "" if store.kind == "ClusterSecretStore" and store.is_shared else namespace, store.name)


def list_store_keys(spec: ExternalSecretSpec) -> set[StoreKey]:
    """All stores that an ExternalSecret is filled from."""
    refs = [*(item.store for item in spec.data), *(many.store for many in spec.data_from)]
    return {resolve_store_key(ref, spec.namespace) for ref in refs}


def build_secret_ref(remote: RemoteRef) -> SecretRef:
    """What has to be read for a reference; its property is a part of that."""
    return SecretRef(remote.key, remote.version, remote.is_metadata)


def build_query(find: DataFromFind) -> SecretQuery:
    """What has to be asked for a search."""
    return SecretQuery(find.path, find.name, find.tags)


def build_plan(specs: Iterable[ExternalSecretSpec]) -> FetchPlan:
    """What is read, by store, in order."""
    wishes: dict[StoreKey, dict[SecretRef, list[float]]] = {}
    queries: dict[StoreKey, list[SecretQuery]] = {}
    for one in specs:
        interval = one.interval if one.refresh_policy == "Periodic" else 0.0
        for item in one.data:
            held = wishes.setdefault(resolve_store_key(item.store, one.namespace), {})
            held.setdefault(build_secret_ref(item.remote), []).append(interval)
        for many in one.data_from:
            key = resolve_store_key(many.store, one.namespace)
            if isinstance(many.source, RemoteRef):
                wishes.setdefault(key, {}).setdefault(build_secret_ref(many.source), []).append(interval)
            elif build_query(many.source) not in queries.setdefault(key, []):
                queries[key].append(build_query(many.source))
    return {
        key: _build_store_reads(wishes.get(key, {}), queries.get(key, []))
        for key in sorted(wishes.keys() | queries.keys())
    }


def _build_store_reads(refs: Mapping[SecretRef, list[float]], queries: list[SecretQuery]) -> StoreReads:
    order = tuple(sorted(refs))
    # Whoever wants it most often decides.
    intervals = tuple(min((one for one in refs[wish] if one), default=0.0) for wish in order)
    return StoreReads(order, tuple(queries), sum(map(len, refs.values())) + len(queries), intervals)


class FetchResult(NamedTuple):
    """What the stores gave, or why they did not; and how many requests that took.

    Attributes:
        faults: why a store gave nothing at all.
    """

    outcomes: Mapping[tuple[StoreKey, SecretRef], FetchOutcome]
    searches: Mapping[StoreKey, list[tuple[SecretQuery, Mapping[str, SecretBytes] | StoreError]]]
    request_counts: Mapping[StoreKey, int]
    faults: Mapping[StoreKey, StoreError]

    def get_value(self, key: StoreKey, ref: SecretRef) -> SecretBytes:
        """One value.

        Raises:
            Missing: the store has none.
            StoreError: it could not be read.
        """
        outcome = self.outcomes[key, ref]
        if isinstance(outcome, StoreError):
            raise outcome
        return outcome

    def get_search_values(self, key: StoreKey, query: SecretQuery) -> Mapping[str, SecretBytes]:
        """What a search found.

        Raises:
            Missing: nothing at all.
            StoreError: it could not be searched.
        """
        outcome = next(outcome for asked, outcome in self.searches[key] if asked == query)
        if isinstance(outcome, StoreError):
            raise outcome
        if not outcome:
            raise SecretNotFoundError(f"nothing in {key} is called or marked as `find` says")
        return outcome


def fetch(plan: FetchPlan, open_store: Callable[[StoreKey], Store]) -> FetchResult:
    """Reads all of a plan: several stores at once.

    Args:
        open_store: gives a store that is signed in to; why it cannot is then why all its secrets cannot be read.
    """
    values: dict[tuple[StoreKey, SecretRef], FetchOutcome] = {}
    found: dict[StoreKey, list[tuple[SecretQuery, Mapping[str, SecretBytes] | StoreError]]] = {}
    calls: dict[StoreKey, int] = {}
    faults: dict[StoreKey, StoreError] = {}

    def read(key: StoreKey) -> None:
        part = plan[key]
        try:
            store = open_store(key)
        except GateError as error:
            faults[key] = error if isinstance(error, StoreError) else StoreError(str(error))
            fault = StoreError(f"{key}: {faults[key]}", faults[key].is_transient, True)
            values.update(((key, wish), fault) for wish in part.refs)
            found[key] = [(query, fault) for query in part.queries]
            return
        before = store.request_count
        outcomes = store.fetch(part.refs)
        searched = [_search(store, query) for query in part.queries]
        calls[key] = store.request_count - before
        failed = [
            one
            for one in (*outcomes, *searched)
            if isinstance(one, StoreError) and not isinstance(one, SecretNotFoundError)
        ]
        whole = [one for one in failed if one.is_store_wide]
        # Where all is refused, what it signed in with may have ended or changed.
        if whole or len(failed) == len(outcomes) + len(searched):
            faults[key] = (whole or failed)[0]
        values.update(
            ((key, wish), _with_store_name(key, outcome)) for wish, outcome in zip(part.refs, outcomes, strict=True)
        )
        found[key] = [
            (query, _with_store_name(key, outcome)) for query, outcome in zip(part.queries, searched, strict=True)
        ]

    with ThreadPoolExecutor(CONCURRENT_STORES) as pool:
        list(pool.map(read, plan))
    return FetchResult(values, found, calls, faults)


T = TypeVar("T")


def _with_store_name(key: StoreKey, outcome: T | StoreError) -> T | StoreError:
    """An outcome; with the name of the store where it is the store that failed."""
    if isinstance(outcome, StoreError) and outcome.is_store_wide:
        return StoreError(f"{key}: {outcome}", outcome.is_transient, True)
    return outcome


def _search(store: Store, query: SecretQuery) -> Mapping[str, SecretBytes] | StoreError:
    try:
        return store.find(query)
    except StoreError as error:
        return error
