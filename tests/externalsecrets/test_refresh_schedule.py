"""When an ExternalSecret is read again: by its status, in step with others of its store, whatever the clock does."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.externalsecrets import external_secret_spec, refresh_schedule
from gatekeeper.externalsecrets.model import ExternalSecretSpec
from gatekeeper.externalsecrets.refresh_schedule import NEVER
from gatekeeper.externalsecrets.target import data_hash, ownership
from gatekeeper.kube.conditions import format_time
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.pool import Backoff
from tests.externalsecrets.test_decision import es

NOW = 1_795_000_000.0


def made(interval: str = "1h", policy: str = "Periodic", store: str = "vault") -> ExternalSecretSpec:
    more = f"  refreshInterval: {interval}\n  refreshPolicy: {policy}\n"
    return external_secret_spec.parse_external_secret(
        yaml.safe_load(es(more=more).replace("name: vault", f"name: {store}"))
    )


def value(read_at: float | None, version: str = "", generation: int = 1) -> dict[str, Any]:
    whole: dict[str, Any] = {"metadata": {"name": "db", "generation": generation, "labels": {"app": "shop"}}}
    status = {"syncedResourceVersion": version or refresh_schedule.compute_synced_version(whole)}
    whole["status"] = {**status, "refreshTime": format_time(read_at)} if read_at is not None else {}
    return whole


@pytest.mark.parametrize(
    ("wanted", "held", "due"),
    [
        (made(), value(None), NOW),
        (made(), value(NOW - 7200), None),
        (made(), value(NOW - 1, "1-other"), NOW),
        (made(), value(NOW + 3600), NOW),
        (made("0s"), value(NOW - 9e9), NEVER),
        (made("0s"), value(None), NOW),
        (made(policy="CreatedOnce"), value(NOW - 1, "1-other"), NEVER),
        (made(policy="CreatedOnce"), value(None), NOW),
        (made(policy="OnChange"), value(NOW - 9e8), NEVER),
        (made(policy="OnChange"), value(NOW - 1, "1-other"), NOW),
        (made(), {"status": {"refreshTime": "yesterday", "syncedResourceVersion": "1-x"}}, NOW),
    ],
)
def test_due_times_match_external_secrets(wanted: ExternalSecretSpec, held: dict[str, Any], due: float | None) -> None:
    found = refresh_schedule.compute_due_time(wanted, held, NOW)
    assert found == due if due is not None else found <= NOW


@given(st.floats(1e9, 2e9), st.floats(1, 1e6))
def test_the_next_reading_is_within_the_interval(read_at: float, interval: float) -> None:
    wanted = made()._replace(interval=interval)
    following = refresh_schedule.compute_next_read(wanted, read_at)
    assert read_at < following <= read_at + interval * 1.000001


def test_those_of_a_store_are_read_together_and_stores_at_different_times() -> None:
    moments = {refresh_schedule.compute_next_read(made(), NOW + seconds) for seconds in range(0, 3600, 60)}
    assert len(moments) <= 2
    stores = {refresh_schedule.compute_next_read(made(store=f"store-{number}"), NOW) for number in range(100)}
    assert len(stores) == 100 and max(stores) - min(stores) > 3000


def test_a_secret_that_was_changed_is_not_valid() -> None:
    wanted = made()
    note = data_hash.compute_data_hash({"a": SecretBytes(b"b")})
    marks = {
        "labels": {ownership.MANAGED_LABEL: "true"},
        "annotations": {ownership.DATA_HASH_ANNOTATION: note},
    }
    assert refresh_schedule.is_secret_intact(wanted, {"metadata": marks, "data": {"a": "Yg=="}})
    for existing in (None, {"metadata": marks, "data": {"a": "Yw=="}}, {"metadata": {}, "data": {"a": "Yg=="}}):
        assert not refresh_schedule.is_secret_intact(wanted, existing)


SPEC = made()
INTACT: dict[str, Any] = {
    "metadata": {
        "labels": {ownership.MANAGED_LABEL: "true"},
        "annotations": {ownership.DATA_HASH_ANNOTATION: data_hash.compute_data_hash({})},
    }
}
SYNCED = refresh_schedule.LastSync(SPEC, NOW - 1, True, None)
LATER = made("1000h")


@pytest.mark.parametrize(
    ("spec", "state", "last_sync", "is_due"),
    [
        # Without a memory, the status in the cluster counts.
        (SPEC, (None, None, False), None, True),
        (LATER, (value(NOW - 1), INTACT), None, False),
        (LATER, (value(NOW - 1), None), None, True),
        (LATER, (value(None), INTACT), None, True),
        # What is remembered counts before the status.
        (LATER, (value(None), INTACT), SYNCED._replace(spec=LATER), False),
        (LATER, (value(NOW - 1), INTACT), SYNCED._replace(spec=SPEC), False),
        (LATER, (value(NOW - 1), INTACT), SYNCED._replace(spec=LATER, read_at=None), True),
        (LATER, (value(NOW - 1), INTACT), SYNCED._replace(spec=LATER, read_at=NOW + 60), True),
        # Drift is corrected, but only where a cluster was looked at.
        (LATER, (value(NOW - 1), None), SYNCED._replace(spec=LATER), True),
        (LATER, (None, None, False), SYNCED._replace(spec=LATER), False),
        (LATER, (value(NOW - 1), None), SYNCED._replace(spec=LATER, is_in_sync=False), False),
        # After a failure, the back-off counts.
        (SPEC, (value(None), None), refresh_schedule.LastSync(SPEC, None, False, Backoff(1, 101.0)), False),
        (SPEC, (value(None), None), refresh_schedule.LastSync(SPEC, None, False, Backoff(1, 100.0)), True),
    ],
)
def test_memory_counts_before_the_status(
    spec: ExternalSecretSpec, state: tuple[Any, ...], last_sync: refresh_schedule.LastSync | None, is_due: bool
) -> None:
    observed = refresh_schedule.ObservedState(*state)
    assert refresh_schedule.is_due(spec, observed, last_sync, NOW, 100.0) is is_due


def test_secret_that_a_merge_waited_for_makes_it_due() -> None:
    spec = LATER._replace(target=LATER.target._replace(creation_policy="Merge"))
    last_sync = refresh_schedule.LastSync(spec, NOW - 1, False, None)
    for secret, is_due in ((None, False), (INTACT, True)):
        state = refresh_schedule.ObservedState(value(NOW - 1), secret)
        assert refresh_schedule.is_due(spec, state, last_sync, NOW, 100.0) is is_due


def test_wait_ends_with_the_back_off_or_the_next_read() -> None:
    failed = refresh_schedule.LastSync(SPEC, None, False, Backoff(1, 130.0))
    assert refresh_schedule.compute_wait(failed, NOW, 100.0) == 30.0
    assert 0 < refresh_schedule.compute_wait(SYNCED, NOW, 100.0) <= 3600
    once = SYNCED._replace(spec=made(policy="CreatedOnce"))
    assert refresh_schedule.compute_wait(once, NOW, 100.0) == NEVER
