"""The plan what to fetch, and fetching it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from gatekeeper.errors import GatekeeperError
from gatekeeper.externalsecrets import fetch_plan
from gatekeeper.externalsecrets.external_secret_spec import build_empty_spec
from gatekeeper.externalsecrets.fetch_plan import StoreKey, StoreReads
from gatekeeper.externalsecrets.model import (
    DataEntry,
    DataFromEntry,
    DataFromFind,
    ExternalSecretSpec,
    RemoteRef,
    StoreRef,
)
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.protocol import FetchOutcome, SecretNotFoundError, SecretQuery, SecretRef, Store, StoreError

SHARED = StoreRef("ClusterSecretStore", "vault")
SHARED_KEY = StoreKey("ClusterSecretStore", "", "vault")


def spec(name: str, *keys: str, store: StoreRef = SHARED, interval: float = 3600.0) -> ExternalSecretSpec:
    data = tuple(DataEntry(key, RemoteRef(key, "p"), store) for key in keys)
    return build_empty_spec("prod", name)._replace(data=data, interval=interval)


class MemoryStore:
    """A store with the outcomes that it is given."""

    request_count = 0

    def __init__(self, outcomes: Mapping[str, FetchOutcome]) -> None:
        self.outcomes = outcomes

    def fetch(self, refs: Sequence[SecretRef]) -> list[FetchOutcome]:
        self.request_count += 1
        return [self.outcomes.get(ref.key) or SecretNotFoundError(f"{ref}") for ref in refs]

    def find(self, query: SecretQuery) -> Mapping[str, SecretBytes]:
        self.request_count += 1
        outcome = self.outcomes.get(query.name)
        if isinstance(outcome, StoreError):
            raise outcome
        return {"found": outcome} if outcome else {}

    def renew_session(self) -> bool:
        return True

    def close(self) -> None:
        pass


def fetch(specs: list[ExternalSecretSpec], store: Store | GatekeeperError) -> fetch_plan.FetchResult:
    def open_store(key: StoreKey) -> Store:
        if isinstance(store, GatekeeperError):
            raise store
        return store

    return fetch_plan.fetch(fetch_plan.build_plan(specs), open_store)


def test_each_secret_is_planned_once_with_its_shortest_interval() -> None:
    own = StoreRef("ClusterSecretStore", "vault", is_shared=False)
    specs = [
        spec("a", "x", "y"),
        spec("b", "x", interval=60.0),
        spec("c", "x", interval=0.0),
        spec("d", "x", store=own),
    ]
    assert fetch_plan.build_plan(specs) == {
        SHARED_KEY: StoreReads((SecretRef("x"), SecretRef("y")), (), 4, (60.0, 3600.0)),
        StoreKey("ClusterSecretStore", "prod", "vault"): StoreReads((SecretRef("x"),), (), 1, (3600.0,)),
    }


def test_monthly_requests_count_batches_of_equal_intervals() -> None:
    reads = StoreReads(
        tuple(SecretRef(str(n)) for n in range(25)), (SecretQuery("", "", {}),), 25, (3600.0,) * 24 + (0.0,)
    )
    assert reads.estimate_monthly_requests(20) == 2 * 720 + 720


def test_store_key_is_shown_with_the_namespace_of_its_credentials() -> None:
    assert str(StoreKey("SecretStore", "prod", "v")) == "SecretStore prod/v"
    key = StoreKey("ClusterSecretStore", "prod", "v")
    assert (str(key), str(key.object_key)) == ("ClusterSecretStore v (from prod)", "ClusterSecretStore v")


def test_missing_secret_is_not_a_fault_of_the_store() -> None:
    result = fetch([spec("a", "x", "none")], MemoryStore({"x": SecretBytes(b"1")}))
    assert result.get_value(SHARED_KEY, SecretRef("x")).reveal() == b"1"
    with pytest.raises(SecretNotFoundError):
        result.get_value(SHARED_KEY, SecretRef("none"))
    assert result.faults == {} and result.request_counts == {SHARED_KEY: 1}


@pytest.mark.parametrize(
    ("outcomes", "is_fault"),
    [
        ({"x": StoreError("denied"), "y": StoreError("denied")}, True),
        ({"x": StoreError("denied"), "y": SecretBytes(b"1")}, False),
        ({"x": StoreError("gone", is_store_wide=True), "y": SecretBytes(b"1")}, True),
        ({"x": StoreError("denied")}, False),
    ],
)
def test_store_is_at_fault_if_it_fails_as_a_whole_or_for_every_read(
    outcomes: dict[str, FetchOutcome], is_fault: bool
) -> None:
    assert bool(fetch([spec("a", "x", "y")], MemoryStore(outcomes)).faults) is is_fault


def test_error_of_opening_is_the_outcome_of_every_read() -> None:
    find = DataFromEntry(DataFromFind("", "n", {}), (), SHARED)
    wanted = spec("a", "x")._replace(data_from=(find,))
    result = fetch([wanted], StoreError("is sealed", is_transient=True))
    for read in (
        lambda: result.get_value(SHARED_KEY, SecretRef("x")),
        lambda: result.get_search_values(SHARED_KEY, SecretQuery("", "n", {})),
    ):
        with pytest.raises(StoreError, match="ClusterSecretStore vault: is sealed") as caught:
            read()
        assert caught.value.is_transient and caught.value.is_store_wide
    assert str(result.faults[SHARED_KEY]) == "is sealed" and result.request_counts == {}
    assert str(fetch([wanted], GatekeeperError("bad field")).faults[SHARED_KEY]) == "bad field"


def test_search_without_a_result_is_a_missing_secret() -> None:
    queries = {name: DataFromEntry(DataFromFind("", name, {}), (), SHARED) for name in ("yes", "no", "bad")}
    wanted = spec("a")._replace(data_from=tuple(queries.values()))
    result = fetch([wanted], MemoryStore({"yes": SecretBytes(b"1"), "bad": StoreError("unsupported")}))
    assert list(result.get_search_values(SHARED_KEY, SecretQuery("", "yes", {}))) == ["found"]
    with pytest.raises(SecretNotFoundError, match="no secret in ClusterSecretStore vault matches `find`"):
        result.get_search_values(SHARED_KEY, SecretQuery("", "no", {}))
    with pytest.raises(StoreError, match="unsupported"):
        result.get_search_values(SHARED_KEY, SecretQuery("", "bad", {}))
