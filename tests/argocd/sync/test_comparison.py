"""Comparison of desired and live objects, by dry runs against a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gatekeeper.apply.inventory import InventoryEntry, entry_of
from gatekeeper.argocd.application_spec import Destination, parse_application
from gatekeeper.argocd.destination import IN_CLUSTER_NAME, IN_CLUSTER_SERVER, DestinationCluster
from gatekeeper.argocd.model import ApplicationBuild, ComparedObject, ResourceResult
from gatekeeper.argocd.resource_tracking import ComparisonTarget, TrackingSettings, mark_object
from gatekeeper.argocd.sync import comparison
from gatekeeper.argocd.sync.sync_options import SyncOptions
from gatekeeper.errors import DeniedError, SpecError
from tests.argocd.conftest import CONFIG_MAPS, ArgoCluster
from tests.argocd.test_application_spec import app
from tests.controller.argocd.test_applications import project

PERMISSIVE = project()


def config_map(name: str, text: str = "1", **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"a": text}}


@pytest.fixture
def target(argocd_cluster: ArgoCluster) -> Iterator[ComparisonTarget]:
    destination = Destination(IN_CLUSTER_SERVER, IN_CLUSTER_NAME, "prod")
    yield ComparisonTarget(DestinationCluster(argocd_cluster.client, destination), TrackingSettings(), "shop")
    argocd_cluster.delete_all("/api/v1/namespaces/prod/configmaps")


def build(*objects: dict[str, Any]) -> ApplicationBuild:
    value = app()
    return ApplicationBuild(value, parse_application(value), ["apps"], objects, ["Directory"], ["a" * 40])


def compare(
    target: ComparisonTarget, *objects: dict[str, Any], previous: tuple[InventoryEntry, ...] = ()
) -> list[ComparedObject]:
    desired = comparison.prepare_objects(build(*objects), target, PERMISSIVE)
    policy = comparison.build_apply_policy(build(), SyncOptions())
    return comparison.compare_objects(target, desired.resources, previous, policy)


def apply(target: ComparisonTarget, value: dict[str, Any], instance_name: str = "shop") -> InventoryEntry:
    placed = {**value, "metadata": {**value["metadata"], "namespace": "prod"}}
    marked = mark_object(target.tracking, instance_name, placed, "prod")
    target.cluster.cluster.apply(CONFIG_MAPS, marked, "gatekeeper", False)
    return entry_of(placed)


def test_objects_get_the_namespace_and_marks_and_hooks_are_apart(target: ComparisonTarget) -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}}
    hook = config_map("h", annotations={"argocd.argoproj.io/hook": "PreSync"})
    wrong = {**role, "metadata": {"name": "s", "namespace": "ignored"}}
    desired = comparison.prepare_objects(build(config_map("x"), role, wrong, hook), target, PERMISSIVE)
    assert [value["metadata"].get("namespace") for value in desired.resources] == ["prod", None, None]
    assert [value["metadata"]["name"] for value in desired.hooks] == ["h"]
    assert all("argocd.argoproj.io/tracking-id" in value["metadata"]["annotations"] for value in desired.resources)


@pytest.mark.parametrize(
    ("value", "limits", "message"),
    [
        (config_map("x", namespace="argocd"), {}, "ConfigMap argocd/x: the project p does not permit this namespace"),
        (
            {**config_map("x"), "kind": "Secret"},
            {},
            "Secret prod/x: the project p does not permit this kind of the core",
        ),
        (config_map("x"), {"allowed_namespaces": ("dev",)}, "ConfigMap prod/x: the Secret of the cluster does not"),
    ],
)
def test_an_object_that_the_project_does_not_permit_is_denied(
    target: ComparisonTarget, value: dict[str, Any], limits: dict[str, Any], message: str
) -> None:
    narrow = project(
        "p",
        destinations=[{"server": "*", "namespace": "prod"}],
        namespaceResourceBlacklist=[{"group": "", "kind": "Secret"}],
    )
    limited = target._replace(cluster=target.cluster._replace(**limits))
    with pytest.raises(DeniedError) as caught:
        comparison.prepare_objects(build(value), limited, narrow)
    assert message in str(caught.value)


def test_an_object_that_occurs_twice_is_an_error(target: ComparisonTarget) -> None:
    with pytest.raises(SpecError, match="ConfigMap prod/x occurs twice in the sources"):
        comparison.prepare_objects(build(config_map("x"), config_map("x", namespace="prod")), target, PERMISSIVE)


def test_missing_changed_and_leaving_objects_are_out_of_sync(target: ComparisonTarget) -> None:
    apply(target, config_map("same"))
    apply(target, config_map("changed", "2"))
    previous = (
        apply(target, config_map("leaving")),
        apply(target, config_map("kept", annotations={"argocd.argoproj.io/compare-options": "IgnoreExtraneous"})),
        apply(target, config_map("foreign"), "other"),
        InventoryEntry("prod", "gone", "", "ConfigMap", "v1"),
    )
    objects = compare(target, config_map("same"), config_map("changed"), config_map("missing"), previous=previous)
    assert {item.entry.name: (item.status, item.should_prune) for item in objects} == {
        "same": ("Synced", False),
        "changed": ("OutOfSync", False),
        "missing": ("OutOfSync", False),
        "leaving": ("OutOfSync", True),
        "kept": ("Synced", True),
    }
    assert comparison.aggregate_sync_status(objects) == "OutOfSync"
    assert comparison.aggregate_health(objects).status == "Missing"


def test_a_successful_sync_settles_its_objects(target: ComparisonTarget) -> None:
    leaving = apply(target, config_map("leaving"))
    objects = compare(target, config_map("x"), config_map("y"), previous=(leaving,))
    applied = apply(target, config_map("x"))
    target.cluster.cluster.delete(
        CONFIG_MAPS, "prod", "leaving", next(o.live for o in objects if o.live)["metadata"]["uid"]
    )
    results = [ResourceResult(applied, "Sync", "Synced", "Succeeded")]
    settled = comparison.settle_objects(target.cluster.cluster, objects, results, {})
    assert [(item.entry.name, item.status, item.live is not None) for item in settled] == [
        ("x", "Synced", True),
        ("y", "OutOfSync", False),
    ]


def test_tracked_entries_are_those_of_the_status_and_the_marked_ones_without_hooks() -> None:
    resources = [
        {"kind": "ConfigMap", "version": "v1", "namespace": "a", "name": "x"},
        {"kind": "Job", "name": "h", "hook": True},
    ]
    marked = [InventoryEntry("a", "x", "", "ConfigMap", "v1"), InventoryEntry("a", "y", "", "ConfigMap", "v1")]
    assert comparison.list_tracked_entries({"status": {"resources": resources}}, marked) == marked
    assert comparison.list_tracked_entries({}, []) == []
