"""The differences between a dry run and the cluster."""

from __future__ import annotations

from gatekeeper.apply import diff
from tests.apply.test_order import one


def test_differences_are_paths_without_metadata_and_status() -> None:
    live = one("Deployment", labels={"a": "1"}) | {"spec": {"replicas": 1, "list": [1, 2]}, "status": {"x": 1}}
    desired = one("Deployment", labels={"a": "2"}) | {"spec": {"replicas": 2, "list": [1, 3], "new": 1}}
    desired["metadata"]["resourceVersion"] = "7"
    differences = diff.list_differences(desired, live)
    assert differences == [("metadata", "labels", "a"), ("spec", "list", 1), ("spec", "new"), ("spec", "replicas")]
    assert diff.list_differences(live, live) == []


def test_last_manager_is_the_latest_that_is_not_our_own() -> None:
    managed = [
        {"manager": "gatekeeper", "time": "2026-01-03T00:00:00Z"},
        {"manager": "kubectl-edit", "time": "2026-01-02T00:00:00Z"},
        {"manager": "helm", "time": "2026-01-01T00:00:00Z"},
        {"manager": "kubelet", "time": "2026-01-04T00:00:00Z", "subresource": "status"},
    ]
    assert diff.find_last_manager(one("ConfigMap", managedFields=managed), "gatekeeper") == "kubectl-edit"
    assert diff.find_last_manager(one("ConfigMap"), "gatekeeper") == ""
