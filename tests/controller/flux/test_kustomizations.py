"""Workers of GitRepositories and of Kustomizations share one cache: each reads a consistent state of it."""

from __future__ import annotations

import datetime
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.cluster import client
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.controller.flux.context import FluxEnvironment, FluxOptions
from gatekeeper.controller.flux.git_repositories import GitRepositoryReconciler
from gatekeeper.controller.flux.kustomizations import KustomizationReconciler, strip_kustomization
from gatekeeper.controller.flux.repository_cache import RepositoryCache, RepositoryState
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.flux import build as flux_build
from gatekeeper.model import NamespacedName, Object
from gatekeeper.repositories.revision import Revision

REPOSITORY, NAME = NamespacedName("flux-system", "r"), NamespacedName("flux-system", "apps")
KUSTOMIZATION: dict[str, Any] = {
    "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
    "kind": "Kustomization",
    "metadata": {"namespace": "flux-system", "name": "apps", "generation": 1, "uid": "1"},
    "spec": {"sourceRef": {"kind": "GitRepository", "name": "r"}, "dependsOn": [{"name": "missing"}]},
}
DAY = datetime.date(2026, 1, 1)
STATE = RepositoryState(Revision("main", "a" * 40, "refs/heads/main"), ["a" * 40], {}, DAY)


class ListedObjects:
    """Objects as a reflector keeps them."""

    def __init__(self, *objects: tuple[NamespacedName, Object]) -> None:
        self._objects = dict(objects)

    def get(self, name: NamespacedName) -> Object | None:
        return self._objects.get(name)

    def list_objects(self) -> list[tuple[NamespacedName, Object]]:
        return list(self._objects.items())


@pytest.fixture
def unreachable_cluster(tmp_path: Path) -> Iterator[DynamicClient]:
    """A client of a cluster that does not exist: a test that sent a request would fail."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}]\n"
        "users: [{name: a, user: {}}]\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n"
    )
    with client.connect(kubeconfig) as cluster:
        yield cluster


def environment(cluster: DynamicClient, folder: Path, repositories: ListedObjects) -> FluxEnvironment:
    return FluxEnvironment(
        cluster,
        FluxOptions(PruneBudget(), flux_build.check_commit),
        Metrics(),
        repositories,
        ListedObjects((NAME, KUSTOMIZATION)),
        lambda name: None,
        lambda name, delay: None,
        lambda entries: None,
        lambda event: None,
        folder,
    )


def test_kustomization_is_reconciled_while_its_repository_is_deleted_and_comes_back(
    unreachable_cluster: DynamicClient, tmp_path: Path
) -> None:
    cache = RepositoryCache()
    # The reconciler of Kustomizations still sees the GitRepository, that of GitRepositories does not any more.
    present = environment(unreachable_cluster, tmp_path, ListedObjects((REPOSITORY, {})))
    kustomizations = KustomizationReconciler(present, cache)
    repositories = GitRepositoryReconciler(present._replace(repositories=ListedObjects()), cache)
    end = threading.Event()

    def delete_and_restore() -> None:
        while not end.is_set():
            cache.store(REPOSITORY, STATE, {})
            repositories.reconcile(REPOSITORY)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=delete_and_restore)
    thread.start()
    try:
        for _ in range(3000):
            assert kustomizations.reconcile(NAME) is None
    finally:
        end.set()
        thread.join()
        sys.setswitchinterval(interval)


def test_watched_kustomization_is_kept_without_inventory_and_managed_fields() -> None:
    status = {"conditions": [], "lastAppliedRevision": "a", "inventory": {"entries": []}}
    value = {**KUSTOMIZATION, "status": status}
    value["metadata"] = {**KUSTOMIZATION["metadata"], "managedFields": [{}]}
    kept = strip_kustomization(value)
    assert kept == {**KUSTOMIZATION, "status": {"conditions": [], "lastAppliedRevision": "a"}}
