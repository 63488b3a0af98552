"""Status and events of an ExternalSecret."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.externalsecrets import status
from gatekeeper.externalsecrets.decision import Decision
from gatekeeper.externalsecrets.external_secret_spec import build_empty_spec
from gatekeeper.kube.conditions import MAX_MESSAGE_LENGTH, format_time

SPEC = build_empty_spec("prod", "db")
NOW = 1_795_000_000.0
VALUE: dict[str, Any] = {"metadata": {"name": "db", "namespace": "prod", "generation": 3}}


@pytest.mark.parametrize(
    ("decision", "condition"),
    [
        (Decision(SPEC, "create"), ("True", "SecretSynced", "secret synced")),
        (Decision(SPEC, "unchanged"), ("True", "SecretSynced", "secret synced")),
        (Decision(SPEC, "delete"), ("True", "SecretDeleted", "secret deleted due to DeletionPolicy=Delete")),
        (Decision(SPEC, "wait", "x"), ("False", "SecretMissing", "x")),
        (Decision(SPEC, "failed", "x"), ("False", "SecretSyncedError", "x")),
        (Decision(SPEC, "change", "x", is_partial=True), ("False", "SecretSyncedError", "x")),
        (Decision(SPEC, "failed", "x" * 5000), ("False", "SecretSyncedError", "x" * MAX_MESSAGE_LENGTH)),
    ],
)
def test_condition_follows_from_the_decision(decision: Decision, condition: tuple[str, str, str]) -> None:
    assert status.build_condition(decision) == condition


def test_status_records_the_read_only_if_it_succeeded() -> None:
    synced = status.build_status(Decision(SPEC, "create"), VALUE, NOW)
    assert synced["refreshTime"] == format_time(NOW) and synced["binding"] == {"name": "db"}
    assert synced["syncedResourceVersion"].startswith("3-")
    failed = status.build_status(Decision(SPEC, "failed", "x"), {**VALUE, "status": synced}, NOW + 60)
    assert (failed["refreshTime"], failed["binding"]) == (synced["refreshTime"], synced["binding"])
    assert "binding" not in status.build_status(Decision(SPEC, "wait"), VALUE, NOW)
    nothing = SPEC._replace(target=SPEC.target._replace(creation_policy="None"))
    assert "binding" not in status.build_status(Decision(nothing, "unchanged"), VALUE, NOW)


def test_other_conditions_stay_and_the_transition_time_changes_with_the_status() -> None:
    other = {"type": "Deleted", "status": "False"}
    first = status.build_status(Decision(SPEC, "create"), {**VALUE, "status": {"conditions": [other]}}, NOW)
    [kept, ready] = first["conditions"]
    assert kept == other and "observedGeneration" not in ready
    second = status.build_status(Decision(SPEC, "unchanged"), {**VALUE, "status": first}, NOW + 60)
    assert second["conditions"][1]["lastTransitionTime"] == format_time(NOW)
    third = status.build_status(Decision(SPEC, "failed"), {**VALUE, "status": second}, NOW + 120)
    assert third["conditions"][1]["lastTransitionTime"] == format_time(NOW + 120)


def test_failure_causes_one_event_and_each_write_another() -> None:
    decision = Decision(SPEC, "failed", "no such secret")
    [event] = status.build_events(decision, VALUE)
    assert event == ("Warning", "UpdateFailed", "no such secret")
    reported = {**VALUE, "status": status.build_status(decision, VALUE, NOW)}
    assert status.build_events(decision, reported) == []
    assert [
        reason
        for action in ("create", "change", "delete", "unchanged")
        for _, reason, _ in status.build_events(
            Decision(SPEC, action),
            VALUE,
        )
    ] == ["Created", "Updated", "Deleted"]
