"""Stores that stay open: one login, reopened when they change or reject credentials, with back-off after a failure."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

from gatekeeper.stores import pool
from gatekeeper.stores.directory import DirectoryStore
from gatekeeper.stores.pool import MAX_BACKOFF_SECONDS, Backoff, StorePool
from gatekeeper.stores.protocol import StoreError


class Opens:
    """Opens folders, and counts it; `fault` is raised in place of that, and `kept` said of what is open."""

    def __init__(self, folder: Any) -> None:
        self.folder = folder
        self.times = 0
        self.closed = 0
        self.fault: StoreError | None = None
        self.kept = True

    def __call__(self, key: str, source: Any) -> DirectoryStore:
        self.times += 1
        if self.fault:
            raise self.fault
        outer = self

        class Watched(DirectoryStore):
            def renew_session(self) -> bool:
                return outer.kept

            def close(self) -> None:
                outer.closed += 1

        return Watched(self.folder)


@pytest.fixture
def opens(tmp_path: Any) -> Opens:
    return Opens(tmp_path)


def test_a_store_is_opened_once_and_again_when_it_changes_ends_or_refuses(opens: Opens) -> None:
    kept: StorePool[str] = StorePool(opens)
    first = kept.get_store("a", 1)
    assert kept.get_store("a", 1) is first and opens.times == 1
    assert kept.get_store("a", 2) is not first and (opens.times, opens.closed) == (2, 1)
    opens.kept = False
    kept.get_store("a", 2)
    assert (opens.times, opens.closed) == (3, 2)
    opens.kept = True
    kept.record_faults({"a": 2}, {"a": StoreError("403")})
    kept.get_store("a", 2)
    assert (opens.times, opens.closed) == (4, 3)
    kept.close()
    assert opens.closed == 4


def test_transient_failure_is_retried_with_back_off(opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    kept: StorePool[str] = StorePool(opens)
    opens.fault = StoreError("gone", is_transient=True, is_store_wide=True)
    asked = []
    for _ in range(2000):
        before = opens.times
        with pytest.raises(StoreError, match="gone"):
            kept.get_store("a", 1)
        if opens.times > before:
            asked.append(now[0])
            kept.record_faults({"a": 1}, {"a": opens.fault})
        now[0] += 1
    waits = [later - sooner for sooner, later in itertools.pairwise(asked)]
    assert (
        len(asked) < 20
        and waits[0] <= 2
        and max(waits) <= MAX_BACKOFF_SECONDS + 1
        and max(waits) > MAX_BACKOFF_SECONDS / 2
    )
    # What it is opened from has changed, which may have been the reason.
    before = opens.times
    with pytest.raises(StoreError):
        kept.get_store("a", 2)
    assert opens.times == before + 1
    opens.fault = None
    kept.record_faults({"a": 1}, {})
    assert kept.get_store("a", 1)


def test_pauses_are_not_all_the_same() -> None:
    found = {pool.next_backoff(Backoff(5, 0.0), 0.0).until for _ in range(50)}
    assert len(found) == 50 and all(16 <= one <= 32 for one in found)
