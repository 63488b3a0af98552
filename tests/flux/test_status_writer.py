"""The status and events of a Kustomization in a real cluster; secret values never reach them."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.apply.changes import ObjectChange
from gatekeeper.apply.model import ApplySet, AuditEvent, ReconcileOutcome, ReconcileResult
from gatekeeper.errors import ToolError
from gatekeeper.flux import status_writer
from gatekeeper.secret_value import SecretBytes
from tests.flux.conftest import REVISION, FluxCluster
from tests.flux.test_reconciler import config, flux
from tests.flux.test_status import ENTRY

FAILED = ReconcileOutcome.failed("BuildFailed", "cannot apply hidden-word")


def build_result(outcome: ReconcileOutcome) -> ReconcileResult:
    build = ApplySet(flux(), "apps", [config("x")], secret_values=(SecretBytes(b"hidden-word"),))
    return ReconcileResult(build, outcome, [ObjectChange(config("x"), "failed", "value hidden-word is invalid")])


def read_status(cluster: FluxCluster) -> dict[str, Any]:
    value = cluster.get_kustomization()
    assert value is not None
    status: dict[str, Any] = value.get("status") or {}
    return status


def test_a_result_is_written_with_masked_secrets_and_an_event(flux_cluster: FluxCluster) -> None:
    live = flux_cluster.create_kustomization(flux())
    written = status_writer.write_result(flux_cluster.build_context(), live, build_result(FAILED), [ENTRY], 1.0)
    assert "hidden-word" not in f"{written.outcome}{written.changes}"
    [ready] = read_status(flux_cluster)["conditions"]
    assert (ready["reason"], ready["status"]) == ("BuildFailed", "False") and "hidden-word" not in ready["message"]
    assert read_status(flux_cluster)["inventory"]["entries"] == [{"id": ENTRY.id, "v": "v1"}]
    [(reason, message)] = flux_cluster.list_events()
    assert reason == "BuildFailed" and "hidden-word" not in message


def test_a_dry_run_and_a_kustomization_that_is_not_in_the_cluster_write_nothing(flux_cluster: FluxCluster) -> None:
    live = flux_cluster.create_kustomization(flux())
    events: list[AuditEvent] = []
    for context, value in (
        (flux_cluster.build_context(events.append, should_write=False), live),
        (flux_cluster.build_context(events.append), None),
    ):
        result = status_writer.write_result(context, value, build_result(FAILED), [ENTRY], 1.0)
        assert "hidden-word" not in result.outcome.message
    assert read_status(flux_cluster) == {} and flux_cluster.list_events() == [] and events == []


def test_a_status_that_cannot_be_written_is_the_outcome(flux_cluster: FluxCluster) -> None:
    live = flux_cluster.create_kustomization(flux())
    context = flux_cluster.build_context()._replace(cluster=flux_cluster.client_without_rights)
    ready = build_result(ReconcileOutcome.ready("ReconciliationSucceeded", "done"))
    result = status_writer.write_result(context, live, ready, [], 1.0)
    assert (result.outcome.is_ready, result.outcome.reason) == (False, "StatusFailed")

    def refuse(event: AuditEvent) -> None:
        raise ToolError("the audit log is full")

    result = status_writer.write_result(flux_cluster.build_context(refuse), live, ready, [], 1.0)
    assert (result.outcome.reason, result.outcome.message) == ("StatusFailed", "the audit log is full")
    assert read_status(flux_cluster) == {}


def test_a_refusal_keeps_the_inventory(flux_cluster: FluxCluster) -> None:
    inventory = {"entries": [{"id": ENTRY.id, "v": "v1"}]}
    live = flux_cluster.create_kustomization(flux(), inventory=inventory)
    outcome = ReconcileOutcome.failed("GateRefused", "refused")
    status_writer.write_refusal(flux_cluster.client, live, outcome, REVISION)
    status = read_status(flux_cluster)
    assert status["inventory"] == inventory and status["conditions"][0]["reason"] == "GateRefused"
    assert [reason for reason, _ in flux_cluster.list_events()] == ["GateRefused"]
    status_writer.write_refusal(flux_cluster.client, flux("gone"), outcome, REVISION)


def test_reported_drift_is_an_event_that_names_the_revision(flux_cluster: FluxCluster) -> None:
    live = flux_cluster.create_kustomization(flux())
    status_writer.report_drift(flux_cluster.client, live, "ConfigMap prod/x was changed", REVISION)
    [event] = flux_cluster.server.ask("GET", "/api/v1/namespaces/flux-system/events")[1]["items"]
    assert (event["type"], event["reason"]) == ("Warning", "DriftDetected")
    assert event["metadata"]["annotations"] == {"kustomize.toolkit.fluxcd.io/revision": REVISION}
    with pytest.raises(ToolError):
        status_writer.report_drift(flux_cluster.client_without_rights, live, "x", REVISION)
