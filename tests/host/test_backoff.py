"""Pauses between attempts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.host.backoff import BackoffPolicy

SECONDS = st.floats(0, 1e6, allow_nan=False)


def test_pauses_double_up_to_the_longest() -> None:
    policy = BackoffPolicy(0.75, 5.0)
    assert [policy.compute_pause(failures) for failures in range(1, 6)] == [0.75, 1.5, 3.0, 5.0, 5.0]


def test_a_factor_of_one_keeps_the_first_pause() -> None:
    assert BackoffPolicy(2.0, 100.0, factor=1.0).compute_pause(10**9) == 2.0


@given(SECONDS, SECONDS, st.floats(0, 1e9, allow_nan=False), st.integers(0, 10**12))
def test_no_pause_is_longer_than_the_longest(first: float, longest: float, factor: float, failures: int) -> None:
    assert 0 <= BackoffPolicy(first, longest, factor).compute_pause(failures) <= longest


@given(st.integers(1, 100))
def test_jitter_stays_between_its_bounds(failures: int) -> None:
    pause = BackoffPolicy(1.0, 420.0).compute_pause(failures)
    assert 0.5 * pause <= BackoffPolicy(1.0, 420.0, jitter=(0.5, 1.5)).compute_pause(failures) <= 1.5 * pause
