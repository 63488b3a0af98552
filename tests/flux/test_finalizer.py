"""Deletion of Kustomizations: what they applied is deleted as their policy says, after it is recorded."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.apply.prune import PruneResult
from gatekeeper.errors import ToolError
from gatekeeper.flux import finalizer, ownership
from gatekeeper.flux.finalizer import FINALIZER
from tests.flux.conftest import FluxCluster
from tests.flux.test_reconciler import FLUX, flux

OWNER = {ownership.NAME_LABEL: "apps", ownership.NAMESPACE_LABEL: "flux-system"}


def delete(cluster: FluxCluster, *names: str, **spec: Any) -> dict[str, Any]:
    """A Kustomization that has applied ConfigMaps and is being deleted."""
    for name in names:
        cluster.create_config_map(name, **OWNER)
    entries = [{"id": f"prod_{name}__ConfigMap", "v": "v1"} for name in names]
    value = flux(**spec)
    value["metadata"]["finalizers"] = [FINALIZER]
    cluster.create_kustomization(value, inventory={"entries": entries})
    cluster.server.ask("DELETE", f"{FLUX}/namespaces/flux-system/kustomizations/apps")
    found = cluster.get_kustomization()
    assert found is not None and found["metadata"]["deletionTimestamp"]
    return found


def finalize(cluster: FluxCluster, value: dict[str, Any], recorded: list[PruneResult] | None = None) -> float | None:
    return finalizer.finalize_kustomization(cluster.client, value, (recorded if recorded is not None else []).extend)


def test_applied_objects_are_deleted_and_then_the_kustomization(flux_cluster: FluxCluster) -> None:
    recorded: list[PruneResult] = []
    assert finalize(flux_cluster, delete(flux_cluster, "a", "b"), recorded) is None
    assert not flux_cluster.has_config_map("a") and not flux_cluster.has_config_map("b")
    assert flux_cluster.get_kustomization() is None
    assert sorted(result.entry.name for result in recorded if result.action == "delete") == ["a", "b"]


@pytest.mark.parametrize(
    "spec", [{"prune": False}, {"deletionPolicy": "Orphan"}, {"suspend": True}, {"serviceAccountName": "gone"}]
)
def test_objects_stay_where_the_kustomization_does_not_prune(flux_cluster: FluxCluster, spec: dict[str, Any]) -> None:
    assert finalize(flux_cluster, delete(flux_cluster, "a", **spec)) is None
    assert flux_cluster.has_config_map("a") and flux_cluster.get_kustomization() is None


def test_an_object_of_another_owner_stays(flux_cluster: FluxCluster) -> None:
    value = delete(flux_cluster, "a")
    flux_cluster.server.ask(
        "PATCH", "/api/v1/namespaces/prod/configmaps/a", {"metadata": {"labels": {ownership.NAME_LABEL: "b"}}}
    )
    assert finalize(flux_cluster, value) is None
    assert flux_cluster.has_config_map("a")


def test_nothing_is_deleted_that_cannot_be_recorded(flux_cluster: FluxCluster) -> None:
    def refuse(plan: list[PruneResult]) -> None:
        raise ToolError("the audit log is full")

    value = delete(flux_cluster, "a")
    with pytest.raises(ToolError, match="audit log is full"):
        finalizer.finalize_kustomization(flux_cluster.client, value, refuse)
    assert flux_cluster.has_config_map("a") and flux_cluster.get_kustomization() is not None


def test_an_invalid_specification_deletes_nothing_and_keeps_the_finalizer(flux_cluster: FluxCluster) -> None:
    value = delete(flux_cluster, "a", timeout="soon")
    with pytest.raises(ToolError, match=r"cannot be finalized: .*remove its finalizer"):
        finalize(flux_cluster, value)
    assert flux_cluster.has_config_map("a") and flux_cluster.get_kustomization() is not None


def test_with_wait_for_termination_the_finalizer_stays_until_objects_are_gone(flux_cluster: FluxCluster) -> None:
    value = delete(flux_cluster, "a", deletionPolicy="WaitForTermination")
    assert finalize(flux_cluster, value) == finalizer.RETRY_SECONDS
    assert not flux_cluster.has_config_map("a") and flux_cluster.get_kustomization() is not None
    assert finalize(flux_cluster, value) is None and flux_cluster.get_kustomization() is None


def test_the_finalizer_is_added_once_next_to_others(flux_cluster: FluxCluster) -> None:
    value = flux()
    value["metadata"]["finalizers"] = ["example.com/other"]
    created = flux_cluster.create_kustomization(value)
    finalizer.add_finalizer(flux_cluster.client, created)
    found = flux_cluster.get_kustomization()
    assert found is not None and found["metadata"]["finalizers"] == ["example.com/other", FINALIZER]
    version = found["metadata"]["resourceVersion"]
    finalizer.add_finalizer(flux_cluster.client, found)
    again = flux_cluster.get_kustomization()
    assert again is not None and again["metadata"]["resourceVersion"] == version
    with pytest.raises(ToolError, match=r"forbidden|cannot patch"):
        finalizer.add_finalizer(flux_cluster.client_without_rights, created)
