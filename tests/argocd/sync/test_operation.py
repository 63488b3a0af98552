"""Operations: decoding of requests, state transitions, and the encoded status."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.apply.inventory import InventoryEntry
from gatekeeper.argocd.application_spec import RetryStrategy, parse_application
from gatekeeper.argocd.model import ApplicationBuild, ResourceResult
from gatekeeper.argocd.sync import operation
from gatekeeper.argocd.sync.operation import OperationState, ResourceSelector, parse_operation_state, parse_request
from gatekeeper.errors import SpecError
from gatekeeper.kube.decoder import FieldError
from tests.argocd.test_application_spec import app

NOW = 1_772_000_000.0
COMMIT = "a" * 40


def build(**spec: Any) -> ApplicationBuild:
    value = app(**spec)
    return ApplicationBuild(value, parse_application(value), ["apps"], [], ["Directory"], [COMMIT])


def started(**sync: Any) -> OperationState:
    return operation.start_operation(parse_request({"sync": sync}), build(), NOW)


def reparse(state: OperationState) -> OperationState | None:
    return parse_operation_state({"status": {"operationState": state.to_status()}})


def test_a_request_is_decoded() -> None:
    request = parse_request(
        {
            "sync": {
                "prune": True,
                "revision": "main",
                "resources": [{"kind": "Job", "group": "batch", "name": "j"}, "invalid"],
                "syncOptions": ["Replace=true"],
                "syncStrategy": {"hook": {"force": True}},
            },
            "initiatedBy": {"username": "ann"},
        }
    )
    assert request.selected == (ResourceSelector("batch", "Job", "", "j"), ResourceSelector("", "", "", ""))
    assert (request.should_prune, request.is_forced, request.should_run_hooks) == (True, True, True)
    assert (request.revisions, request.username, request.is_automated) == (("main",), "ann", False)
    assert not request.is_complete and parse_request({"sync": {}}).is_complete
    assert not parse_request({"sync": {"dryRun": True}}).is_complete
    assert not parse_request({"sync": {"syncStrategy": {"apply": {}}}}).should_run_hooks


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({}, "`operation.sync` is missing"),
        ({"sync": {"manifests": ["x"]}}, "`operation.sync.manifests` is not supported"),
        ({"sync": {"revision": "other"}}, "requests revision other, but the Application targets HEAD"),
        ({"sync": {"revision": COMMIT}}, ""),
        ({"sync": {"revision": "HEAD"}}, ""),
        ({"sync": {}}, ""),
    ],
)
def test_an_operation_that_cannot_run_is_refused_with_a_reason(raw: dict[str, Any], reason: str) -> None:
    refusal = operation.find_refusal(parse_request(raw), build())
    assert reason in refusal and bool(refusal) is bool(reason)


def test_options_and_retry_of_an_operation_override_those_of_its_application() -> None:
    application = build(syncPolicy={"syncOptions": ["Prune=false"], "retry": {"limit": 1}}).application
    request = parse_request({"sync": {"syncOptions": ["Prune=true"]}, "retry": {"limit": 7}})
    assert operation.resolve_sync_options(request, application).get("Prune") == "true"
    assert operation.resolve_retry(request, application).limit == 7
    assert operation.resolve_retry(parse_request({}), application).limit == 1
    with pytest.raises(FieldError, match=r"operation\.retry\.limit"):
        operation.resolve_retry(parse_request({"retry": {"limit": "x"}}), application)
    with pytest.raises(SpecError, match="unknown sync option"):
        operation.resolve_sync_options(parse_request({"sync": {"syncOptions": ["X=1"]}}), application)


def test_a_failed_attempt_is_retried_with_back_off_until_the_limit() -> None:
    retry = RetryStrategy(limit=2, initial_seconds=5.0)
    state = started().finish("Failed", "no", NOW, retry)
    assert state.is_running and state.retry_count == 1 and state.message == "no; retry 1 in 5 seconds"
    assert state.seconds_until_retry(retry, NOW) == 5 and state.seconds_until_retry(retry, NOW + 9) == 0
    first_attempt = started().attempt
    state = state.begin_retry()
    assert state.attempt != first_attempt and state.results == () and state.seconds_until_retry(retry, NOW) == 0
    state = state.finish("Failed", "no", NOW, retry)
    assert state.seconds_until_retry(retry, NOW) == 10
    state = state.begin_retry().finish("Failed", "no", NOW, retry)
    assert not state.is_running and (state.phase, state.message) == ("Failed", "no")


@pytest.mark.parametrize("phase", ["Succeeded", "Error"])
def test_only_a_failure_is_retried(phase: Any) -> None:
    assert not started().finish(phase, "x", NOW, RetryStrategy(limit=-1)).is_running


def test_the_encoded_state_is_that_of_argo_cd() -> None:
    state = started(revision="main").with_results(
        [ResourceResult(InventoryEntry("prod", "x", "", "ConfigMap", "v1"), "Sync", "Synced", "Running", "created")],
        "m",
    )
    assert state.to_status() == {
        "operation": {"sync": {"revision": "main"}},
        "phase": "Running",
        "message": "m",
        "startedAt": "2026-02-25T06:13:20Z",
        "syncResult": {
            "revision": COMMIT,
            "source": {"repoURL": "https://example.com/r.git", "path": "apps"},
            "resources": [
                {
                    "group": "",
                    "version": "v1",
                    "kind": "ConfigMap",
                    "namespace": "prod",
                    "name": "x",
                    "message": "created",
                    "hookPhase": "Running",
                    "syncPhase": "Sync",
                    "status": "Synced",
                }
            ],
        },
    }
    failed = operation.fail_operation(parse_request({"sync": {}}), "m", NOW).to_status()
    assert "syncResult" not in failed and failed["startedAt"] == failed["finishedAt"]


TEXT = st.text(max_size=8)
RESULTS = st.builds(
    ResourceResult,
    st.builds(InventoryEntry, TEXT, TEXT, TEXT, TEXT, TEXT),
    st.sampled_from(["PreSync", "Sync", "PostSync", "SyncFail"]),
    TEXT,
    st.sampled_from(["Running", "Succeeded", "Failed"]),
    TEXT,
    TEXT,
    st.just(False),
)


@given(st.lists(RESULTS, max_size=3), TEXT, st.integers(0, 5), st.booleans())
def test_an_encoded_state_is_decoded_as_it_was(
    results: list[ResourceResult], message: str, retries: int, is_finished: bool
) -> None:
    state = started(prune=True).with_results(results, message)._replace(retry_count=retries)
    if is_finished:
        state = state.finish("Succeeded", message, NOW, RetryStrategy())
    assert reparse(state) == state


def test_fields_that_are_not_read_here_stay_in_the_state() -> None:
    fields = started().to_status()
    fields["syncResult"]["managedNamespaceMetadata"] = {"labels": {"a": "b"}}
    fields["operation"]["info"] = [{"name": "reason"}]
    state = parse_operation_state({"status": {"operationState": fields}})
    assert state is not None and state.to_status() == fields
    assert parse_operation_state({}) is None


def test_history_is_numbered_and_limited() -> None:
    state = started().finish("Succeeded", "ok", NOW + 5, RetryStrategy())
    limited = build(revisionHistoryLimit=2)
    history: list[Any] = []
    for _ in range(3):
        history = operation.build_history(limited, state, history)
    assert [entry["id"] for entry in history] == [1, 2]
    assert history[0]["deployedAt"] > history[0]["deployStartedAt"] and history[0]["revision"] == COMMIT
    assert operation.build_history(build(revisionHistoryLimit=0), state, history) == []
