"""The plan what to fetch for all ExternalSecrets together, and fetching it: each secret of each store once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gatekeeper.errors import GatekeeperError
from gatekeeper.externalsecrets.model import DataFromFind, ExternalSecretSpec, RemoteRef, StoreRef
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.protocol import FetchOutcome, SecretNotFoundError, SecretQuery, SecretRef, Store, StoreError

# The number of stores that are read concurrently.
CONCURRENT_STORES = 8
HOUR_SECONDS, MONTH_SECONDS = 3600.0, 30 * 24 * 3600.0
SearchOutcome = Mapping[str, SecretBytes] | StoreError
OutcomeT = TypeVar("OutcomeT")


class StoreKey(NamedTuple):
    """One session with a store: the kind, namespace and name of the store.

    The namespace of a ClusterSecretStore is empty, or that of the ExternalSecret whose credentials it uses.
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
        """The key of the store object, without the namespace of an ExternalSecret."""
        return self._replace(namespace="") if self.kind == "ClusterSecretStore" else self


class StoreReads(NamedTuple):
    """The secrets and searches to read from one store, each once.

    Attributes:
        reference_count: the number of references that these reads serve.
        intervals: the seconds between two reads of each secret, in the order of `refs`; 0 to read it once.
    """

    refs: tuple[SecretRef, ...]
    queries: tuple[SecretQuery, ...]
    reference_count: int
    intervals: tuple[float, ...] = ()

    def estimate_monthly_requests(self, batch_size: int) -> float:
        """Estimate the number of requests in thirty days.

        Secrets with different intervals cannot share a request. A search counts as one request per hour.

        Args:
            batch_size: the number of secrets that one request reads.
        """
        groups = Counter(interval for interval in self.intervals if interval)
        reads = sum(math.ceil(count / batch_size) * MONTH_SECONDS / interval for interval, count in groups.items())
        return reads + len(self.queries) * MONTH_SECONDS / HOUR_SECONDS


FetchPlan = Mapping[StoreKey, StoreReads]


def resolve_store_key(store: StoreRef, namespace: str) -> StoreKey:
    """Return the key of the store that an ExternalSecret of a namespace references."""
    return StoreKey(store.kind, "" if store.kind == "ClusterSecretStore" and store.is_shared else namespace, store.name)


def list_store_keys(spec: ExternalSecretSpec) -> set[StoreKey]:
    """Return the keys of all stores that an ExternalSecret reads."""
    return {resolve_store_key(store, spec.namespace) for store in spec.stores}


def build_secret_ref(remote: RemoteRef) -> SecretRef:
    """Return the secret that contains the part which a reference names."""
    return SecretRef(remote.key, remote.version, remote.is_metadata)


def build_query(find: DataFromFind) -> SecretQuery:
    """Return the query for a search."""
    return SecretQuery(find.path, find.name, find.tags)


def build_plan(specs: Iterable[ExternalSecretSpec]) -> FetchPlan:
    """Plan the reads for ExternalSecrets, by store, in order."""
    intervals_by_ref: dict[StoreKey, dict[SecretRef, list[float]]] = {}
    queries: dict[StoreKey, list[SecretQuery]] = {}
    for spec in specs:
        interval = spec.interval if spec.refresh_policy == "Periodic" else 0.0
        references = [(entry.store, entry.remote) for entry in spec.data]
        for entry in spec.data_from:
            if isinstance(entry.source, RemoteRef):
                references.append((entry.store, entry.source))
                continue
            key, query = resolve_store_key(entry.store, spec.namespace), build_query(entry.source)
            if query not in queries.setdefault(key, []):
                queries[key].append(query)
        for store, remote in references:
            by_ref = intervals_by_ref.setdefault(resolve_store_key(store, spec.namespace), {})
            by_ref.setdefault(build_secret_ref(remote), []).append(interval)
    return {
        key: _build_store_reads(intervals_by_ref.get(key, {}), queries.get(key, []))
        for key in sorted(intervals_by_ref.keys() | queries.keys())
    }


def _build_store_reads(intervals_by_ref: Mapping[SecretRef, list[float]], queries: list[SecretQuery]) -> StoreReads:
    refs = tuple(sorted(intervals_by_ref))
    # A secret is read as often as its most frequent reference requires.
    shortest = tuple(min((interval for interval in intervals_by_ref[ref] if interval), default=0.0) for ref in refs)
    reference_count = sum(map(len, intervals_by_ref.values())) + len(queries)
    return StoreReads(refs, tuple(queries), reference_count, shortest)


class StoreResult(NamedTuple):
    """What one store returned for its reads.

    Attributes:
        searches: the outcome of each query, in order.
        request_count: the number of requests; None if the store could not be opened.
        fault: the error of a store that returned nothing at all.
    """

    outcomes: Mapping[SecretRef, FetchOutcome]
    searches: list[tuple[SecretQuery, SearchOutcome]]
    request_count: int | None
    fault: StoreError | None


class FetchResult(NamedTuple):
    """What all stores returned."""

    by_store: Mapping[StoreKey, StoreResult]

    def get_value(self, key: StoreKey, ref: SecretRef) -> SecretBytes:
        """Return one secret.

        Raises:
            SecretNotFoundError: the store has no such secret.
            StoreError: the secret could not be read.
        """
        outcome = self.by_store[key].outcomes[ref]
        if isinstance(outcome, StoreError):
            raise outcome
        return outcome

    def get_search_values(self, key: StoreKey, query: SecretQuery) -> Mapping[str, SecretBytes]:
        """Return the secrets that a search found.

        Raises:
            SecretNotFoundError: the search found nothing.
            StoreError: the search failed.
        """
        outcome = next(outcome for known_query, outcome in self.by_store[key].searches if known_query == query)
        if isinstance(outcome, StoreError):
            raise outcome
        if not outcome:
            raise SecretNotFoundError(f"no secret in {key} matches `find`")
        return outcome

    @property
    def request_counts(self) -> dict[StoreKey, int]:
        """The number of requests to each store that was opened."""
        return {key: result.request_count for key, result in self.by_store.items() if result.request_count is not None}

    @property
    def faults(self) -> dict[StoreKey, StoreError]:
        """The error of each store that returned nothing at all."""
        return {key: result.fault for key, result in self.by_store.items() if result.fault is not None}


def fetch(plan: FetchPlan, open_store: Callable[[StoreKey], Store]) -> FetchResult:
    """Carry out a plan; several stores are read concurrently.

    Args:
        open_store: returns an open store; if it fails, its error is the outcome of every read of that store.
    """

    def fetch_store(key: StoreKey) -> StoreResult:
        return _fetch_store(key, plan[key], open_store)

    with ThreadPoolExecutor(CONCURRENT_STORES) as pool:
        return FetchResult(dict(zip(plan, pool.map(fetch_store, plan), strict=True)))


def _fetch_store(key: StoreKey, reads: StoreReads, open_store: Callable[[StoreKey], Store]) -> StoreResult:
    try:
        store = open_store(key)
    except GatekeeperError as error:
        fault = error if isinstance(error, StoreError) else StoreError(str(error))
        outcome = StoreError(f"{key}: {fault}", fault.is_transient, is_store_wide=True)
        return StoreResult(
            dict.fromkeys(reads.refs, outcome), [(query, outcome) for query in reads.queries], None, fault
        )
    count_before = store.request_count
    outcomes = store.fetch(reads.refs)
    searches = [_search(store, query) for query in reads.queries]
    return StoreResult(
        {ref: _with_store_name(key, outcome) for ref, outcome in zip(reads.refs, outcomes, strict=True)},
        [(query, _with_store_name(key, outcome)) for query, outcome in zip(reads.queries, searches, strict=True)],
        store.request_count - count_before,
        _find_store_fault([*outcomes, *searches]),
    )


def _find_store_fault(outcomes: list[FetchOutcome | SearchOutcome]) -> StoreError | None:
    """Return the error of a store that failed as a whole, or for every single read."""
    failures = [
        outcome
        for outcome in outcomes
        if isinstance(outcome, StoreError) and not isinstance(outcome, SecretNotFoundError)
    ]
    store_wide = next((failure for failure in failures if failure.is_store_wide), None)
    # A store that denies every read may have lost its session: its credentials expired or changed.
    return store_wide or (failures[0] if failures and len(failures) == len(outcomes) else None)


def _with_store_name(key: StoreKey, outcome: OutcomeT | StoreError) -> OutcomeT | StoreError:
    """Add the name of the store to an error that concerns the whole store."""
    if isinstance(outcome, StoreError) and outcome.is_store_wide:
        return StoreError(f"{key}: {outcome}", outcome.is_transient, is_store_wide=True)
    return outcome


def _search(store: Store, query: SecretQuery) -> SearchOutcome:
    try:
        return store.find(query)
    except StoreError as error:
        return error
