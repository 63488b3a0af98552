"""What counts as drift, by the managed fields that a real API server records."""

from __future__ import annotations

from typing import Any

from gatekeeper.controller.flux.controller import observe_kustomization_object
from gatekeeper.controller.runtime.drift_watch import is_drift

FIELDS: dict[str, Any] = {"f:data": {"f:a": {}, "f:b": {}}}


def value(*managers: dict[str, Any]) -> dict[str, Any]:
    labels = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
    return {"metadata": {"name": "x", "labels": labels, "managedFields": list(managers)}}


def manager(name: str, time: str = "2026-01-01T00:00:00Z", fields: Any = FIELDS, **more: str) -> dict[str, Any]:
    return {"manager": name, "operation": "Apply", "time": time, "fieldsV1": fields, **more}


OURS = manager("gatekeeper")


def test_the_owner_of_an_object_is_read_from_its_labels() -> None:
    assert observe_kustomization_object(value(OURS)).owner == ("flux-system", "apps")


def test_fields_that_others_set_or_remove_are_drift() -> None:
    before = observe_kustomization_object(value(OURS))
    assert is_drift(before, observe_kustomization_object(value(OURS, manager("kubectl-edit"))))
    assert is_drift(
        observe_kustomization_object(value(OURS, manager("hpa"))),
        observe_kustomization_object(value(OURS, manager("hpa", "2026-01-01T00:00:01Z"))),
    )
    # Who takes a field away has none: ours are fewer, and since the same moment.
    assert is_drift(before, observe_kustomization_object(value(manager("gatekeeper", fields={"f:data": {"f:a": {}}}))))
    assert is_drift(before, None)


def test_our_own_changes_and_the_status_are_not_drift() -> None:
    before = observe_kustomization_object(value(OURS))
    assert not is_drift(
        before, observe_kustomization_object(value(manager("gatekeeper", "2026-01-01T00:00:05Z", {"f:data": {}})))
    )
    status = manager("kubelet", subresource="status")
    assert not is_drift(before, observe_kustomization_object(value(OURS, status)))
    # Of an Application that another applies, what is told in it.
    assert not is_drift(before, observe_kustomization_object(value(OURS, manager("gatekeeper-status"))))
    assert not is_drift(before, before)
