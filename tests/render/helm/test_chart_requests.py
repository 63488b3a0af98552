"""Charts from elsewhere: what HelmReleases and Applications request."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.model import Resource
from gatekeeper.render.appliers import build_cluster_resource
from gatekeeper.render.helm import chart_requests
from gatekeeper.render.helm.chart_requests import RequestedChart

REPOSITORY = {"kind": "HelmRepository", "name": "charts", "namespace": "flux-system"}


def source(kind: str, name: str, spec: dict[str, Any], namespace: str = "flux-system") -> Resource:
    metadata = {"name": name, "namespace": namespace}
    return build_cluster_resource(
        {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": kind, "metadata": metadata, "spec": spec}
    )


def release(spec: dict[str, Any]) -> Resource:
    metadata = {"name": "web", "namespace": "shop"}
    return build_cluster_resource(
        {"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "metadata": metadata, "spec": spec}
    )


SOURCES = (
    source("HelmRepository", "charts", {"url": "https://u:word@charts.example.com/", "passCredentials": True}),
    source("HelmRepository", "registry", {"url": "oci://ghcr.io/org", "type": "oci"}),
    source("OCIRepository", "app", {"url": "oci://ghcr.io/org/app", "ref": {"tag": "4.1.1"}}, "shop"),
    source("OCIRepository", "newest", {"url": "oci://ghcr.io/org/app"}, "shop"),
    source(
        "OCIRepository",
        "exact",
        {
            "url": "oci://ghcr.io/org/app",
            "ref": {"tag": "1", "digest": "sha256:" + "a" * 64},
            "layerSelector": {"mediaType": "text/x", "operation": "copy"},
        },
        "shop",
    ),
    source("HelmChart", "made", {"chart": "web", "version": "2.x", "sourceRef": REPOSITORY}, "shop"),
    source("OCIRepository", "broken", {"url": "registry"}, "shop"),
)


def find(spec: dict[str, Any]) -> RequestedChart | None:
    return chart_requests.find_release_request(release(spec), chart_requests.collect_source_objects(SOURCES))


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        (
            {"chart": {"spec": {"chart": "web", "version": "1.x", "sourceRef": REPOSITORY}}},
            "helm https://charts.example.com web 1.x",
        ),
        ({"chart": {"spec": {"chart": "web", "sourceRef": REPOSITORY}}}, "helm https://charts.example.com web *"),
        (
            {"chart": {"spec": {"chart": "web", "version": "1.0.0", "sourceRef": {**REPOSITORY, "name": "registry"}}}},
            "helm oci://ghcr.io/org web 1.0.0",
        ),
        ({"chartRef": {"kind": "OCIRepository", "name": "app"}}, "oci oci://ghcr.io/org/app tag=4.1.1"),
        ({"chartRef": {"kind": "OCIRepository", "name": "newest"}}, "oci oci://ghcr.io/org/app tag=latest"),
        (
            {"chartRef": {"kind": "OCIRepository", "name": "exact", "namespace": "shop"}},
            f"oci oci://ghcr.io/org/app digest=sha256:{'a' * 64} tag=1 layer=text/x copy",
        ),
        ({"chartRef": {"kind": "HelmChart", "name": "made"}}, "helm https://charts.example.com web 2.x"),
    ],
)
def test_a_release_requests_a_chart(spec: dict[str, Any], key: str) -> None:
    chart = find(spec)
    assert chart is not None and chart.source is not None
    assert chart.source.request.key == key


def test_the_password_of_a_repository_is_kept_for_the_request_only() -> None:
    chart = find({"chart": {"spec": {"chart": "web", "sourceRef": REPOSITORY}}})
    assert chart is not None and chart.source is not None
    assert chart.source.request.url.reveal() == b"https://u:word@charts.example.com/"
    assert chart.source.request.passes_credentials
    assert "word" not in repr(chart)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (
            {"chart": {"spec": {"chart": "web", "sourceRef": {**REPOSITORY, "name": "x"}}}},
            "HelmRepository `x` is not in the repository, so its chart is unknown",
        ),
        ({"chartRef": {"kind": "OCIRepository", "name": "x"}}, "OCIRepository `x` is not in the repository"),
        ({"chartRef": {"kind": "ExternalArtifact", "name": "x"}}, "kind ExternalArtifact is not supported"),
        ({"chartRef": {"kind": "OCIRepository", "name": "broken"}}, "OCIRepository `broken` has no valid `url`"),
    ],
)
def test_a_request_that_is_not_known_has_a_reason(spec: dict[str, Any], reason: str) -> None:
    chart = find(spec)
    assert chart is not None and chart.source is None
    assert chart.reason.startswith(reason)


@pytest.mark.parametrize("kind", ["GitRepository", "Bucket"])
def test_a_folder_of_a_repository_is_no_request(kind: str) -> None:
    assert find({"chart": {"spec": {"chart": "./web", "sourceRef": {"kind": kind, "name": "x"}}}}) is None


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        (
            {"repoURL": "https://charts.example.com", "chart": "web", "targetRevision": "1.*"},
            "helm https://charts.example.com web 1.* (argocd)",
        ),
        (
            {"repoURL": "ghcr.io/org", "chart": "web", "targetRevision": "1.0.0"},
            "helm oci://ghcr.io/org web 1.0.0 (argocd)",
        ),
    ],
)
def test_an_application_requests_a_chart(spec: dict[str, Any], key: str) -> None:
    metadata = {"name": "web", "namespace": "argocd"}
    value = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": metadata,
        "spec": {"source": spec},
    }
    chart = chart_requests.find_application_request(build_cluster_resource(value), ("spec", "source"))
    assert chart.source is not None and chart.source.request.key == key
