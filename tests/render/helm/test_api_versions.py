"""API versions of custom resources that charts find in a cluster."""

from __future__ import annotations

import pytest

from gatekeeper.render.appliers import build_cluster_resource
from gatekeeper.render.helm import api_versions
from tests.conftest import Repository
from tests.render.rendering import CHART, render

CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: monitors.example.com}
spec:
  group: example.com
  names: {kind: Monitor, plural: monitors, singular: monitor, listKind: MonitorList}
  scope: Namespaced
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
  - {name: v1alpha1, served: false, storage: false, schema: {openAPIV3Schema: {type: object}}}
"""
USER = """\
{{- if .Capabilities.APIVersions.Has "example.com/v1/Monitor" }}
apiVersion: example.com/v1
kind: Monitor
metadata: {name: web}
{{- end }}
"""


def test_served_versions_of_crds_count() -> None:
    value = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "x"},
        "spec": {
            "group": "example.com",
            "names": {"kind": "Monitor"},
            "versions": [{"name": "v1", "served": True}, {"name": "v1beta1", "served": False}],
        },
    }
    assert api_versions.collect_api_versions([build_cluster_resource(value)]) == {
        "example.com/v1",
        "example.com/v1/Monitor",
    }
    assert not api_versions.collect_api_versions([build_cluster_resource({**value, "spec": None})])


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, False),
        ({"crd.yaml": CRD}, True),
        # The CRD of one chart counts for another one.
        ({"other/Chart.yaml": CHART.replace("web", "other"), "other/templates/crd.yaml": CRD}, True),
    ],
    ids=["without", "in the repository", "in another chart"],
)
def test_a_chart_sees_the_crds_that_the_repository_applies(
    repository: Repository, files: dict[str, str | bytes], expected: bool
) -> None:
    root = repository({"web/Chart.yaml": CHART, "web/templates/a.yaml": USER, **files})
    assert any(resource.ref.kind == "Monitor" for resource in render(root).resources) == expected
