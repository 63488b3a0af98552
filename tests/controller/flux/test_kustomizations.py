"""Workers of GitRepositories and of Kustomizations share one cache, and each sees it whole."""

from __future__ import annotations

import datetime
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.apply.model import KustomizationBuild
from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.cluster import client
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.controller.flux import git_repositories
from gatekeeper.controller.flux.git_repositories import GitRepositoryCache, GitRepositoryState
from gatekeeper.controller.flux.kustomizations import KustomizationReconciler
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.model import Verdict
from gatekeeper.repositories.revision import Revision

SOURCE, NAME = ("flux-system", "r"), ("flux-system", "apps")
KUSTOMIZATION: dict[str, Any] = {
    "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
    "kind": "Kustomization",
    "metadata": {"namespace": "flux-system", "name": "apps", "generation": 1, "uid": "1"},
    "spec": {"sourceRef": {"kind": "GitRepository", "name": "r"}, "dependsOn": [{"name": "missing"}]},
}
STATE = GitRepositoryState(Revision("main", "a" * 40, "refs/heads/main"), ["a" * 40], {}, datetime.date(2026, 1, 1))


@pytest.fixture
def unreachable_cluster(tmp_path: Path) -> Iterator[DynamicClient]:
    """A client of a cluster that does not exist: a test that asked it would fail."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}]\n"
        "users: [{name: a, user: {}}]\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n"
    )
    with client.open_client(kubeconfig) as connection:
        cluster = DynamicClient(connection)
        yield cluster
        cluster.close()


@pytest.fixture
def cache(unreachable_cluster: DynamicClient, tmp_path: Path) -> GitRepositoryCache:
    return GitRepositoryCache(
        unreachable_cluster,
        lambda name: None,
        lambda name: [],
        lambda name, delay: None,
        lambda name: None,
        Metrics(),
        None,
        tmp_path,
    )


def test_kustomization_is_reconciled_while_its_repository_is_deleted_and_comes_back(
    cache: GitRepositoryCache, unreachable_cluster: DynamicClient
) -> None:
    reconciler = KustomizationReconciler(
        unreachable_cluster,
        {NAME: KUSTOMIZATION}.get,
        cache,
        lambda name: True,
        lambda name: None,
        lambda entries: None,
        lambda event: None,
        PruneBudget(),
        Metrics(),
    )
    end = threading.Event()

    def delete_and_restore() -> None:
        while not end.is_set():
            cache.store(SOURCE, STATE, {})
            # The GitRepository is not in the cluster any more.
            cache.reconcile(SOURCE)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=delete_and_restore)
    thread.start()
    try:
        for _ in range(3000):
            assert reconciler.reconcile(NAME) is None
    finally:
        end.set()
        thread.join()
        sys.setswitchinterval(interval)


def test_snapshot_has_state_and_build_of_the_same_store(cache: GitRepositoryCache) -> None:
    assert cache.snapshot(SOURCE, NAME) is None
    fingerprint = cache.compute_fingerprint(STATE, KUSTOMIZATION)
    verdict = Verdict()
    build = git_repositories.pack(KustomizationBuild(KUSTOMIZATION, "apps", [{"kind": "A"}]), fingerprint, verdict)
    assert cache.store(SOURCE, STATE, {NAME: build}) == set()
    snapshot = cache.snapshot(SOURCE, NAME)
    assert snapshot is not None and not snapshot.is_stale(fingerprint)
    assert snapshot.build is not None and snapshot.build.build.objects == [{"kind": "A"}]
    assert cache.store(SOURCE, STATE, {NAME: build}) == {NAME}
    cache.forget_kustomization(NAME)
    forgotten = cache.snapshot(SOURCE, NAME)
    assert forgotten is not None and forgotten.is_stale(fingerprint)


def test_recreated_kustomization_is_not_taken_for_the_deleted_one(cache: GitRepositoryCache) -> None:
    recreated = {**KUSTOMIZATION, "metadata": {**KUSTOMIZATION["metadata"], "uid": "2"}}
    assert cache.compute_fingerprint(STATE, recreated) != cache.compute_fingerprint(STATE, KUSTOMIZATION)
