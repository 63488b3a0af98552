"""Which workloads are restarted when a Secret has changed."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.controller.externalsecrets import reloader

POD = {
    "imagePullSecrets": [{"name": "pull"}],
    "containers": [
        {"envFrom": [{"secretRef": {"name": "all"}}]},
        {"env": [{"valueFrom": {"secretKeyRef": {"name": "key", "key": "a"}}}]},
    ],
    "volumes": [{"secret": {"secretName": "files"}}, {"projected": {"sources": [{"secret": {"name": "part"}}]}}],
}
AUTO = dict.fromkeys(reloader.AUTO_ANNOTATIONS, "true")


def workload(annotations: dict[str, str], pod_annotations: dict[str, str] | None = None) -> dict[str, Any]:
    template = {"metadata": {"annotations": pod_annotations or {}}, "spec": POD}
    return {"metadata": {"name": "a", "annotations": annotations}, "spec": {"template": template}}


def test_secrets_of_a_pod_are_those_of_containers_and_volumes() -> None:
    assert set(reloader.list_referenced_secrets(POD)) == {"all", "key", "files", "part"}
    assert list(reloader.list_referenced_secrets(None)) == []


@pytest.mark.parametrize(
    ("annotations", "changed", "is_requested"),
    [
        *(({annotation: "true"}, {"key"}, True) for annotation in reloader.AUTO_ANNOTATIONS),
        (AUTO, {"pull"}, False),
        (AUTO, {"other"}, False),
        ({reloader.AUTO_ANNOTATIONS[0]: "false"}, {"key"}, False),
        ({}, {"key"}, False),
        ({reloader.RELOAD_ANNOTATION: "x, other"}, {"other"}, True),
        ({reloader.RELOAD_ANNOTATION: "x, other"}, {"key"}, False),
        ({reloader.RELOAD_ANNOTATION: ""}, {"key"}, False),
    ],
)
def test_workload_is_restarted_only_if_it_requests_it(
    annotations: dict[str, str], changed: set[str], is_requested: bool
) -> None:
    assert reloader.is_restart_requested(workload(annotations), changed) is is_requested
    assert reloader.is_restart_requested(workload({}, annotations), changed) is is_requested
