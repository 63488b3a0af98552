"""What a sync selects, holds and refuses, against a real API server."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.apply.inventory import entry_of
from gatekeeper.apply.prune_budget import APPROVED_REVISION
from gatekeeper.argocd.model import ComparedObject
from gatekeeper.argocd.resource_tracking import TrackingSettings, mark_object
from gatekeeper.argocd.sync.operation import parse_request, start_operation
from gatekeeper.controller.argocd import sync_plan
from gatekeeper.controller.argocd.application_comparison import compare_application
from gatekeeper.controller.argocd.context import ApplicationContext
from gatekeeper.model import Coverage, Gap, Verdict
from tests.argocd.conftest import ArgoCluster
from tests.controller.argocd.environment import COMMIT, application, build_context, build_environment, config_map


@pytest.fixture
def context(argocd_cluster: ArgoCluster) -> ApplicationContext:
    return build_context(build_environment(argocd_cluster, []), application(), [config_map("x"), config_map("y")])


def live(name: str, owner: str = "shop") -> ComparedObject:
    value = {**config_map(name), "metadata": {"name": name, "namespace": "prod"}}
    marked = mark_object(TrackingSettings(), owner, value, "prod")
    return ComparedObject(entry_of(marked), "OutOfSync", None, marked, None)


def plan(context: ApplicationContext, **sync: Any) -> list[str]:
    state = start_operation(parse_request({"sync": sync}), context.build, 1_772_000_000.0)
    return [task.entry.name for task in sync_plan.build_plan(context, compare_application(context), state).tasks]


def test_an_operation_can_be_limited_to_some_objects(context: ApplicationContext) -> None:
    assert plan(context) == ["x", "y"]
    assert plan(context, resources=[{"kind": "ConfigMap", "name": "y"}]) == ["y"]
    assert plan(context, resources=[{"kind": "ConfigMap", "name": "y", "namespace": "other"}]) == []


def test_an_object_of_another_application_is_shared(context: ApplicationContext) -> None:
    assert sync_plan.find_shared_resource(context, [live("a")]) == ""
    assert sync_plan.find_shared_resource(context, [live("a"), live("b", "other")]) == (
        "ConfigMap prod/b is tracked by the Application other (`FailOnSharedResource`)"
    )


def test_a_held_prune_names_the_annotation_that_approves_it(context: ApplicationContext) -> None:
    objects = [live(f"x{number}") for number in range(3)]
    reason = sync_plan.find_held_prune(context, objects)
    assert reason.endswith(f"; to approve it, annotate the Application with `{APPROVED_REVISION}={COMMIT}`")
    approved = context._replace(manifest=application(annotations={APPROVED_REVISION: COMMIT}))
    assert approved.approved_revision == COMMIT and sync_plan.find_held_prune(approved, objects) == ""
    other = context._replace(manifest=application(annotations={APPROVED_REVISION: "other"}))
    assert sync_plan.find_held_prune(other, objects) == reason


def test_an_incomplete_verdict_refuses(context: ApplicationContext) -> None:
    assert sync_plan.find_gate_refusal(context) == ""
    verdict = Verdict(coverage=Coverage(1, 1, 0, (Gap("apps/x.yaml", "not readable", True),)))
    assert "apps/x.yaml: not readable" in sync_plan.find_gate_refusal(context._replace(verdict=verdict))


@pytest.mark.parametrize(
    ("text", "is_confirmed"),
    [("", False), ("yes", False), ("2026-01-01T00:00:00Z", False), ("2026-03-01T00:00:00Z", True)],
)
def test_a_confirmation_counts_from_the_start_of_an_operation(text: str, is_confirmed: bool) -> None:
    value = application(annotations={sync_plan.DELETION_APPROVED: text})
    assert sync_plan.is_deletion_confirmed(value, 1_772_000_000.0) is is_confirmed
