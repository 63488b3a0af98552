"""Kustomizations are reconciled after their dependencies, and not at all if one of these is not ready."""

from __future__ import annotations

from typing import Any

from gatekeeper.apply.model import ApplySet, ReconcileResult
from gatekeeper.flux import reconcile_order
from tests.flux.conftest import FluxCluster
from tests.flux.test_reconciler import config, flux


def build(name: str, *dependencies: str, error: str = "") -> ApplySet:
    parent = flux(name, dependsOn=[{"name": dependency} for dependency in dependencies])
    return ApplySet(parent, name, [config(name)], error)


def reconcile(cluster: FluxCluster, *builds: ApplySet) -> tuple[list[str], dict[str, str]]:
    """The names in the order of their results, and the reason of each that is not ready."""
    seen: list[ReconcileResult] = []
    results = reconcile_order.reconcile_all(cluster.build_context(), builds, seen.append)
    assert sorted(map(id, results)) == sorted(map(id, seen))
    failed = {result.build.name.name: result.outcome.reason for result in results if not result.outcome.is_ready}
    return [result.build.name.name for result in seen], failed


def test_a_kustomization_comes_after_its_dependencies(flux_cluster: FluxCluster) -> None:
    order, failed = reconcile(flux_cluster, build("c", "b"), build("b", "a"), build("a"))
    assert (order, failed) == (["a", "b", "c"], {})
    assert all(flux_cluster.has_config_map(name) for name in "abc")


def test_a_failed_dependency_keeps_back_everything_behind_it_and_nothing_else(flux_cluster: FluxCluster) -> None:
    _, failed = reconcile(
        flux_cluster, build("a", error="cannot be built"), build("b", "a"), build("c", "b"), build("d")
    )
    assert failed == {"a": "BuildFailed", "b": "DependencyNotReady", "c": "DependencyNotReady"}
    assert [name for name in "abcd" if flux_cluster.has_config_map(name)] == ["d"]


def test_nothing_of_a_cycle_is_applied(flux_cluster: FluxCluster) -> None:
    _, failed = reconcile(flux_cluster, build("a", "b"), build("b", "a"), build("c"))
    assert failed == {"a": "DependencyNotReady", "b": "DependencyNotReady"}
    assert [name for name in "abc" if flux_cluster.has_config_map(name)] == ["c"]


def test_a_ready_expression_that_is_false_keeps_a_kustomization_back(flux_cluster: FluxCluster) -> None:
    value: dict[str, Any] = flux("b", dependsOn=[{"name": "apps", "readyExpr": "dep.metadata.generation > 99"}])
    flux_cluster.create_kustomization(flux())
    _, failed = reconcile(flux_cluster, ApplySet(value, "b", [config("b")]))
    assert failed == {"b": "DependencyNotReady"} and not flux_cluster.has_config_map("b")
