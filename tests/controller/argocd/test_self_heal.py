"""Back-off of self-heal."""

from __future__ import annotations

import time

import pytest

from gatekeeper.controller.argocd.self_heal import MAX_SECONDS, RESET_SECONDS, SelfHealBackoff
from gatekeeper.model import NamespacedName

NAME, OTHER = NamespacedName("argocd", "a"), NamespacedName("argocd", "b")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_the_pause_grows_while_an_application_drifts(clock: list[float]) -> None:
    backoff = SelfHealBackoff()
    pauses = []
    for _ in range(7):
        assert backoff.begin_heal(NAME) == 0
        pauses.append(backoff.begin_heal(NAME))
        clock[0] += pauses[-1]
    assert pauses == [2, 6, 18, 54, 162, MAX_SECONDS, MAX_SECONDS]


def test_the_pause_counts_from_the_last_correction(clock: list[float]) -> None:
    backoff = SelfHealBackoff()
    assert backoff.begin_heal(NAME) == 0
    clock[0] += 0.5
    assert backoff.begin_heal(NAME) == 1.5 and backoff.begin_heal(OTHER) == 0


def test_a_quiet_application_starts_again(clock: list[float]) -> None:
    backoff = SelfHealBackoff()
    for _ in range(3):
        clock[0] += backoff.begin_heal(NAME)
    clock[0] += RESET_SECONDS + 1
    assert backoff.begin_heal(NAME) == 0 and backoff.begin_heal(NAME) == 2
    backoff.forget(NAME)
    assert backoff.begin_heal(NAME) == 0
