"""Marks of tracked objects, by annotation, label, or both."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.argocd import resource_tracking
from gatekeeper.argocd.application_spec import parse_application
from gatekeeper.argocd.resource_tracking import MAX_LABEL_LENGTH, TrackingSettings
from tests.argocd.test_application_spec import app

CONFIG_MAP: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "a"}}


@pytest.mark.parametrize("method", ["annotation", "label", "annotation+label"])
def test_a_marked_object_belongs_to_its_application(method: Any) -> None:
    settings = TrackingSettings(method)
    value = resource_tracking.mark_object(settings, "shop", CONFIG_MAP, "a")
    assert (
        resource_tracking.find_owner(settings, value) == "shop"
        and resource_tracking.find_owner(settings, CONFIG_MAP) == ""
    )


def test_a_copy_with_the_mark_of_the_original_belongs_to_no_application() -> None:
    value = resource_tracking.mark_object(TrackingSettings(), "shop", CONFIG_MAP, "a")
    for field, text in (("name", "copy"), ("namespace", "b")):
        assert (
            resource_tracking.find_owner(TrackingSettings(), {**value, "metadata": {**value["metadata"], field: text}})
            == ""
        )
    assert resource_tracking.find_owner(TrackingSettings(), {**value, "kind": "Secret"}) == ""
    other = TrackingSettings(installation_id="one")
    assert (
        resource_tracking.find_owner(other, value) == ""
        and resource_tracking.find_owner(other, resource_tracking.mark_object(other, "shop", value, "a")) == "shop"
    )


def test_a_cluster_scoped_object_is_marked_with_the_namespace_of_the_destination() -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}}
    value = resource_tracking.mark_object(TrackingSettings(), "shop", role, "prod")
    assert (
        value["metadata"]["annotations"][resource_tracking.TRACKING_ID]
        == "shop:rbac.authorization.k8s.io/ClusterRole:prod/r"
    )
    assert resource_tracking.find_owner(TrackingSettings(), value) == "shop"


def test_an_application_outside_argo_cds_namespace_has_its_namespace_in_the_instance_name() -> None:
    application = parse_application(app())
    assert resource_tracking.format_instance_name(application, "argocd") == "a"
    assert resource_tracking.format_instance_name(application, "other") == "argocd_a"


def test_a_long_instance_name_is_cut_in_the_label_and_not_in_the_annotation() -> None:
    name = "n" * 80
    value = resource_tracking.mark_object(TrackingSettings("annotation+label"), name, CONFIG_MAP, "a")
    assert value["metadata"]["labels"][resource_tracking.INSTANCE_LABEL] == "n" * MAX_LABEL_LENGTH
    assert resource_tracking.find_owner(TrackingSettings(), value) == name
    assert "labels" not in CONFIG_MAP["metadata"]
