"""GitRepositories in a real cluster: fetched, checked once per commit, and reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gatekeeper.apply.prune_budget import PruneBudget
from gatekeeper.cluster.dynamic_client import DynamicClient
from gatekeeper.controller.flux.context import FluxEnvironment, FluxOptions
from gatekeeper.controller.flux.git_repositories import GitRepositoryReconciler, compute_fingerprint
from gatekeeper.controller.flux.repository_cache import RepositoryCache
from gatekeeper.controller.runtime.metrics import Metrics
from gatekeeper.errors import ToolError
from gatekeeper.flux import build as flux_build
from gatekeeper.model import NamespacedName
from tests.controller.flux.test_kustomizations import DAY, KUSTOMIZATION, STATE, ListedObjects, unreachable_cluster
from tests.flux.conftest import CONFIG_MAPS, FluxCluster
from tests.flux.test_reconciler import GIT, flux
from tests.flux.test_source import build
from tests.host import commit_files, run_git

__all__ = ["unreachable_cluster"]
NAME, APPS = NamespacedName("flux-system", "r"), NamespacedName("flux-system", "apps")
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: prod}\n"


def test_recreated_kustomization_is_not_taken_for_the_deleted_one(unreachable_cluster: DynamicClient) -> None:
    recreated = {**KUSTOMIZATION, "metadata": {**KUSTOMIZATION["metadata"], "uid": "2"}}
    fingerprints = [
        compute_fingerprint(unreachable_cluster, STATE.commits, DAY, value) for value in (KUSTOMIZATION, recreated)
    ]
    assert fingerprints[0] != fingerprints[1]


class Reconciled:
    """A GitRepository in the cluster, its reconciler, and the Kustomizations that were requested."""

    def __init__(self, cluster: FluxCluster, folder: Path, value: dict[str, Any]) -> None:
        cluster.server.make(f"{GIT}/namespaces/flux-system/gitrepositories", value)
        self.cluster, self.requested = cluster, list[NamespacedName]()
        self.cache, self.checked = RepositoryCache(), list[Path]()
        self.environment = FluxEnvironment(
            cluster=cluster.client,
            options=FluxOptions(PruneBudget(), self._check),
            metrics=Metrics(),
            repositories=ListedObjects((NAME, self.read())),
            kustomizations=ListedObjects((APPS, flux())),
            enqueue_repository=lambda name: None,
            enqueue_kustomization=lambda name, delay: self.requested.append(name),
            watch_entries=lambda entries: None,
            record=lambda event: None,
            storage_dir=folder / "kept",
        )

    def _check(self, root: Path, *arguments: Any) -> Any:
        self.checked.append(root)
        return flux_build.check_commit(root, *arguments)

    def read(self) -> dict[str, Any]:
        code, value = self.cluster.server.ask("GET", f"{GIT}/namespaces/flux-system/gitrepositories/r")
        assert code == 200
        return dict(value)

    def reconcile(self) -> float | None:
        return GitRepositoryReconciler(self.environment, self.cache).reconcile(NAME)

    def read_ready(self) -> tuple[str, str, str]:
        [ready] = self.read()["status"]["conditions"]
        return ready["status"], ready["reason"], ready["message"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return commit_files(tmp_path / "host", {"gatekeeper.yaml": "library: {profile: 'off'}\n", "apps/a.yaml": MAP})


def test_a_commit_is_checked_once_and_reported_as_artifact(
    flux_cluster: FluxCluster, root: Path, tmp_path: Path
) -> None:
    reconciled = Reconciled(flux_cluster, tmp_path, build(root))
    assert reconciled.reconcile() == 60.0 == reconciled.reconcile()
    commit = run_git(root, "rev-parse", "HEAD").strip()
    assert reconciled.read()["status"]["artifact"]["revision"] == f"main@sha1:{commit}"
    assert reconciled.read_ready()[:2] == ("True", "Succeeded")
    assert len(reconciled.checked) == 1 and reconciled.requested == [APPS]
    commit_files(root, {"apps/b.yaml": MAP.replace("name: x", "name: y")})
    reconciled.reconcile()
    assert len(reconciled.checked) == 2 and reconciled.requested == [APPS, APPS]


def test_a_repository_that_cannot_be_fetched_keeps_what_was_checked(
    flux_cluster: FluxCluster, root: Path, tmp_path: Path
) -> None:
    reconciled = Reconciled(flux_cluster, tmp_path, build(root))
    reconciled.reconcile()
    state = reconciled.cache.get_state(NAME)
    root.rename(tmp_path / "moved")
    with pytest.raises(ToolError):
        reconciled.reconcile()
    assert reconciled.read_ready()[:2] == ("False", "GitOperationFailed")
    assert reconciled.cache.get_state(NAME) == state is not None


def test_an_invalid_specification_is_reported_and_not_retried(
    flux_cluster: FluxCluster, root: Path, tmp_path: Path
) -> None:
    reconciled = Reconciled(flux_cluster, tmp_path, build(root, url="ftp://x"))
    assert reconciled.reconcile() is None
    assert reconciled.read_ready()[:2] == ("False", "InvalidSpec") and not reconciled.checked


def test_a_suspended_repository_is_left_alone(flux_cluster: FluxCluster, root: Path, tmp_path: Path) -> None:
    reconciled = Reconciled(flux_cluster, tmp_path, build(root, suspend=True))
    assert reconciled.reconcile() is None
    assert "status" not in reconciled.read() and not reconciled.checked


def test_a_storage_folder_that_cannot_be_written_is_reported(
    flux_cluster: FluxCluster, root: Path, tmp_path: Path
) -> None:
    reconciled = Reconciled(flux_cluster, tmp_path, build(root))
    (tmp_path / "kept").write_text("a file, where a folder should be")
    with pytest.raises(ToolError):
        reconciled.reconcile()
    status, reason, message = reconciled.read_ready()
    assert status == "False" and reason in ("StorageOperationFailed", "GitOperationFailed") and "kept" in message


def test_a_deleted_repository_is_forgotten(flux_cluster: FluxCluster, root: Path, tmp_path: Path) -> None:
    reconciled = Reconciled(flux_cluster, tmp_path, build(root))
    reconciled.reconcile()
    reconciled.environment = reconciled.environment._replace(repositories=ListedObjects())
    assert reconciled.reconcile() is None and reconciled.cache.get_state(NAME) is None


def test_a_changed_source_of_values_changes_the_fingerprint(flux_cluster: FluxCluster) -> None:
    value = {**KUSTOMIZATION, "spec": {"postBuild": {"substituteFrom": [{"kind": "ConfigMap", "name": "vars"}]}}}
    metadata = {"name": "vars", "namespace": "flux-system"}

    def compute() -> object:
        return compute_fingerprint(flux_cluster.client, STATE.commits, DAY, value)

    missing = compute()
    created = flux_cluster.client.create(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    present = compute()
    flux_cluster.client.patch(CONFIG_MAPS, created, {"data": {"a": "b"}})
    assert len({repr(found) for found in (missing, present, compute())}) == 3
    flux_cluster.server.ask("DELETE", "/api/v1/namespaces/flux-system/configmaps/vars")
    with pytest.raises(ToolError):
        compute_fingerprint(flux_cluster.client_without_rights, STATE.commits, DAY, value)
