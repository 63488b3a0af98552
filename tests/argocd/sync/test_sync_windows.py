"""Sync windows: when they are open, and errors in their fields."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.argocd.sync import sync_windows
from gatekeeper.kube.decoder import FieldError


def window(kind: str, schedule: str, duration: str = "1h", **more: Any) -> sync_windows.SyncWindow:
    return sync_windows.parse_sync_window(
        {"kind": kind, "schedule": schedule, "duration": duration, "applications": ["*"], **more}, 0
    )


NOON = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("own", "is_manual", "closed"),
    [
        ([], False, False),
        ([("allow", "0 12 * * *")], False, False),
        ([("allow", "0 10 * * *")], False, True),
        ([("deny", "0 12 * * *")], False, True),
        ([("deny", "0 10 * * *")], False, False),
        ([("allow", "0 12 * * *"), ("deny", "30 12 * * *")], False, True),
        ([("deny", "0 12 * * *")], True, True),
        ([("deny", "0 12 * * *", {"manualSync": True})], True, False),
        ([("deny", "0 12 * * *", {"manualSync": True}), ("deny", "0 12 * * *")], True, True),
        ([("allow", "0 10 * * *", {"manualSync": True})], True, False),
        ([("allow", "0 10 * * *"), ("allow", "@hourly")], False, False),
        ([("deny", "0 13 * * *", {"timeZone": "Europe/Berlin"})], False, True),
    ],
)
def test_windows_permit_or_deny_a_sync(own: list[Any], is_manual: bool, closed: bool) -> None:
    read = [window(kind, schedule, **(more[0] if more else {})) for kind, schedule, *more in own]
    assert bool(sync_windows.find_blocking_window(read, NOON, is_manual)) is closed


def test_the_next_begin_or_end_of_a_window_is_computed() -> None:
    assert sync_windows.seconds_until_change([window("deny", "0 12 * * *")], NOON) == 1800
    assert sync_windows.seconds_until_change([window("allow", "45 12 * * *", "10m")], NOON) == 900
    assert sync_windows.seconds_until_change([], NOON) == sync_windows.DAY_SECONDS


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"schedule": "* * *"}, "is not a cron schedule"),
        ({"schedule": "61 * * * *"}, "is not a cron schedule"),
        ({"schedule": "* * * * *", "timeZone": "Nowhere/At"}, "is not a time zone: Nowhere/At"),
        ({}, "`spec.syncWindows[0].schedule` is missing"),
        ({"schedule": "* * * * *", "kind": "maybe"}, "it can be allow, deny"),
        ({"schedule": "* * * * * *"}, "is not a cron schedule"),
    ],
)
def test_an_invalid_window_is_refused_with_its_field(value: dict[str, Any], words: str) -> None:
    with pytest.raises(FieldError) as caught:
        sync_windows.parse_sync_window(value, 0)
    assert words in str(caught.value)


@given(st.integers(0, 7 * 24 * 60), st.integers(1, 180))
def test_a_window_is_open_from_its_start_for_its_duration(minutes: int, duration: int) -> None:
    start = NOON.replace(minute=0)
    nightly = window("allow", "0 12 * * *", f"{duration}m")
    now = datetime.fromtimestamp(start.timestamp() + minutes * 60, UTC)
    assert nightly.is_open(now) is (minutes % (24 * 60) < duration)
