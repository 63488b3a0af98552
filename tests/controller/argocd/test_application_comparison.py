"""Comparisons of Applications with a real cluster, and how long they hold."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from gatekeeper.controller.argocd import application_comparison
from gatekeeper.controller.argocd.application_comparison import Comparison
from gatekeeper.controller.argocd.context import ApplicationContext
from tests.argocd.conftest import ArgoCluster
from tests.controller.argocd.environment import application, build_context, build_environment, config_map


@pytest.fixture(autouse=True)
def _clean(argocd_cluster: ArgoCluster) -> Iterator[None]:
    yield
    argocd_cluster.delete_all("/api/v1/namespaces/prod/configmaps")


def build(
    cluster: ArgoCluster, *names: str, namespace: str = "prod", options: tuple[str, ...] = ()
) -> ApplicationContext:
    value = application(policy={"syncOptions": list(options)})
    value["spec"]["destination"]["namespace"] = namespace
    return build_context(build_environment(cluster, []), value, [config_map(name) for name in names])


def compare(context: ApplicationContext) -> dict[str, str]:
    return {compared.entry.name: compared.status for compared in application_comparison.compare_application(context)}


def test_an_object_is_out_of_sync_until_it_is_applied(argocd_cluster: ArgoCluster) -> None:
    context = build(argocd_cluster, "a", "b")
    kind = argocd_cluster.client.find_kind("v1", "ConfigMap")
    assert kind is not None
    argocd_cluster.client.apply(kind, context.resources[0], "gatekeeper", False)
    assert compare(context) == {"a": "Synced", "b": "OutOfSync"}


def test_the_namespace_that_a_sync_creates_is_no_object_of_the_application(argocd_cluster: ArgoCluster) -> None:
    context = build(argocd_cluster, "a", namespace="new-one", options=("CreateNamespace=true",))
    assert compare(context) == {"a": "OutOfSync"}


def test_a_comparison_holds_for_its_fingerprint_until_it_expires() -> None:
    current = Comparison("f", [], time.monotonic() + 3600)
    assert current.is_current("f") and not current.is_current("g")
    assert not current._replace(expires_at=time.monotonic() - 1).is_current("f")


def test_another_cluster_is_compared_more_often(argocd_cluster: ArgoCluster) -> None:
    context = build(argocd_cluster)
    target = context.target._replace(cluster=context.target.cluster._replace(is_in_cluster=False))
    remote = context._replace(target=target)
    assert context.is_in_cluster and not remote.is_in_cluster
    now = time.monotonic()
    own, other = (application_comparison.compute_expiry(one) - now for one in (context, remote))
    assert own > application_comparison.RESYNC_SECONDS * (1 - application_comparison.JITTER) - 1
    assert other < application_comparison.REMOTE_RESYNC_SECONDS * (1 + application_comparison.JITTER) + 60 < own
