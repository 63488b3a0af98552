"""Status conditions."""

from __future__ import annotations

import pytest

from gatekeeper.kube import conditions
from gatekeeper.kube.conditions import Condition

READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
VALUE = {"metadata": {"generation": 3}, "status": {"conditions": [{"type": "Synced", "status": "False"}, READY]}}


def test_a_condition_is_found_by_its_type() -> None:
    assert conditions.find_ready_condition(VALUE) == READY
    assert conditions.find_condition(VALUE, "Stalled") == {}


@pytest.mark.parametrize("value", [{}, {"status": None}, {"status": {"conditions": "Ready"}}])
def test_an_object_without_a_list_of_conditions_has_none(value: object) -> None:
    assert conditions.find_ready_condition(value) == {}


def test_an_unchanged_status_keeps_its_transition_time() -> None:
    same = conditions.build_condition(Condition("Ready", "True", "Succeeded", "done"), VALUE, 0.0)
    assert same["lastTransitionTime"] == READY["lastTransitionTime"]
    other = conditions.build_condition(Condition("Ready", "False", "Failed", "x" * 2000), VALUE, 0.0)
    assert other["lastTransitionTime"] == "1970-01-01T00:00:00Z"
    assert (other["observedGeneration"], len(other["message"])) == (3, conditions.MAX_MESSAGE_LENGTH)


def test_times_are_written_in_utc_without_fractions() -> None:
    assert conditions.format_time(1772366400.9) == "2026-03-01T12:00:00Z"
