"""Objects that clusters have although no repository contains them."""

from __future__ import annotations

import pytest

from gatekeeper.engines.references.cluster_objects import is_created_outside
from tests.conftest import Repository
from tests.engines.references.objects import POD, find_faults, flux


@pytest.mark.parametrize(
    ("kind", "namespace", "name", "expected"),
    [
        ("ConfigMap", "shop", "kube-root-ca.crt", True),
        ("Secret", "shop", "kube-root-ca.crt", False),
        ("ConfigMap", "kube-public", "cluster-info", True),
        ("ConfigMap", "shop", "cluster-info", False),
        ("Service", "default", "kubernetes", True),
        ("Service", "shop", "kubernetes", False),
        ("Service", "", "kubernetes", False),
        ("GitRepository", "flux-system", "flux-system", True),
        ("GitRepository", "", "flux-system", True),
        ("GitRepository", "shop", "flux-system", False),
        ("GitRepository", "flux-system", "shop", False),
        ("HelmRepository", "flux-system", "flux-system", False),
    ],
)
def test_only_objects_that_clusters_have_are_known(kind: str, namespace: str, name: str, expected: bool) -> None:
    assert is_created_outside(kind, namespace, name) is expected


def test_the_source_of_the_bootstrap_is_no_finding_but_another_source_is(repository: Repository) -> None:
    other = flux("b", "./x").replace("name: flux-system}}", "name: shop}}")
    [finding] = find_faults(repository, flux("a", "./x") + other)
    assert finding.message.startswith("GitRepository shop in namespace flux-system is referenced")


def test_the_file_of_the_bootstrap_shows_the_source_that_it_created() -> None:
    assert not is_created_outside("GitRepository", "flux-system", "flux-system", has_bootstrap_file=True)
    assert is_created_outside("Service", "default", "kubernetes", has_bootstrap_file=True)


def test_the_certificate_of_the_api_server_is_in_each_namespace(repository: Repository) -> None:
    pod = POD[: POD.index("  imagePullSecrets")] + (
        "  containers: [{name: c, image: 'c:1'}]\n"
        "  volumes: [{name: v, projected: {sources: [{configMap: {name: kube-root-ca.crt}}]}}]\n"
    )
    assert find_faults(repository, pod) == []
    assert len(find_faults(repository, pod.replace("kube-root-ca.crt", "kube-root-ca"))) == 1
