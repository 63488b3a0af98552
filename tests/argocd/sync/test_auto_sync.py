"""Automated syncs: when one is started, and when it is blocked."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.apply.changes import ObjectChange
from gatekeeper.apply.inventory import entry_of
from gatekeeper.argocd.application_spec import RetryStrategy
from gatekeeper.argocd.model import ComparedObject
from gatekeeper.argocd.sync import auto_sync, operation
from gatekeeper.argocd.sync.operation import OperationState
from tests.argocd.sync.test_operation import COMMIT, NOW, build

PRUNE = {"automated": {"prune": True}}
HEAL = {"automated": {"prune": True, "selfHeal": True}}


def config_map(name: str = "x", **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "prod", **metadata}}


def changed() -> ComparedObject:
    value = config_map("changed")
    return ComparedObject(entry_of(value), "OutOfSync", ObjectChange(value, "configure"), value, None)


def leaving(**metadata: Any) -> ComparedObject:
    value = config_map("leaving", **metadata)
    return ComparedObject(entry_of(value), "OutOfSync", None, value, None)


def synced() -> ComparedObject:
    value = config_map("synced")
    return ComparedObject(entry_of(value), "Synced", ObjectChange(value, "unchanged"), value, None)


def last(phase: Any, policy: dict[str, Any]) -> OperationState:
    request = operation.parse_request({"sync": {}})
    return operation.start_operation(request, build(syncPolicy=policy), NOW).finish(
        phase, "because", NOW, RetryStrategy()
    )


@pytest.mark.parametrize(
    ("policy", "objects"),
    [
        ({}, [changed()]),
        (PRUNE, [synced()]),
        ({"automated": {}}, [synced(), leaving()]),
        (PRUNE, [synced(), leaving(deletionTimestamp="2026-01-01T00:00:00Z")]),
    ],
)
def test_no_sync_is_needed(policy: dict[str, Any], objects: list[ComparedObject]) -> None:
    assert auto_sync.decide_auto_sync(build(syncPolicy=policy), objects, None) == auto_sync.AutoSyncDecision()


def test_a_new_revision_is_synced_as_a_whole() -> None:
    request, reason = auto_sync.decide_auto_sync(build(syncPolicy=PRUNE), [changed(), leaving()], None)
    assert request is not None and request.is_complete and request.should_prune and request.is_automated
    assert request.revisions == (COMMIT,) and reason == ""


def test_the_last_objects_are_not_pruned_without_allow_empty() -> None:
    request, reason = auto_sync.decide_auto_sync(build(syncPolicy=PRUNE), [leaving()], None)
    assert request is None and "allowEmpty" in reason
    policy = {"automated": {"prune": True, "allowEmpty": True}}
    assert auto_sync.decide_auto_sync(build(syncPolicy=policy), [leaving()], None).request is not None


def test_a_failed_sync_is_not_repeated() -> None:
    request, reason = auto_sync.decide_auto_sync(build(syncPolicy=HEAL), [changed()], last("Failed", HEAL))
    assert request is None
    assert reason == "the last sync to aaaaaaa failed and is not repeated automatically: because"


def test_self_heal_is_limited_to_the_drifted_objects() -> None:
    decide = auto_sync.decide_auto_sync
    assert (
        decide(build(syncPolicy=PRUNE), [changed(), synced()], last("Succeeded", PRUNE)) == auto_sync.AutoSyncDecision()
    )
    request, _ = decide(build(syncPolicy=HEAL), [changed(), synced()], last("Succeeded", HEAL))
    assert request is not None and [selector.name for selector in request.selected] == ["changed"]


def test_an_operation_of_an_older_revision_is_superseded() -> None:
    state = last("Succeeded", PRUNE)
    assert auto_sync.find_superseding_revision(build(), state) == ""
    newer = build()._replace(revisions=["b" * 40])
    assert auto_sync.find_superseding_revision(newer, state) == "superseded by revision bbbbbbb: a new sync is needed"
