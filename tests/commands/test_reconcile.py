"""`gatekeeper reconcile`: the objects it writes into a folder, and options that it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.commands.conftest import Run
from tests.conftest import Repository, needs

KUSTOMIZATION = """apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec: {interval: 10m, path: ./apps, prune: true, sourceRef: {kind: GitRepository, name: flux-system}}
"""
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\nstringData: {password: hunter2}\n"


@needs("gatekeeper-upstream")
def test_objects_are_written_into_a_new_folder_without_secret_values(
    run: Run, repository: Repository, tmp_path: Path
) -> None:
    root = repository({"clusters/apps.yaml": KUSTOMIZATION, "apps/secret.yaml": SECRET})
    code, out, err = run("reconcile", "--to", tmp_path / "out", root)
    target = tmp_path / "out" / "flux-system-apps.yaml"
    assert (code, out, err) == (0, f"{target}: 1 objects\n", "")
    secret = yaml.safe_load(target.read_text())
    assert secret["metadata"]["name"] == "db" and "hunter2" not in target.read_text()


@needs("gatekeeper-upstream")
def test_a_folder_that_is_not_empty_is_refused(run: Run, repository: Repository, tmp_path: Path) -> None:
    root = repository({"clusters/apps.yaml": KUSTOMIZATION, "apps/secret.yaml": SECRET})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    code, _, err = run("reconcile", "--to", tmp_path / "out", root)
    assert code == 2 and str(tmp_path / "out") in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_a_repository_without_kustomizations_is_a_usage_error(run: Run, repository: Repository, tmp_path: Path) -> None:
    code, _, err = run("reconcile", "--to", tmp_path / "out", repository({"secret.yaml": SECRET}))
    assert code == 2 and "Flux Kustomization or Application" in err
    assert not (tmp_path / "out").exists()


def test_a_missing_path_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    code, _, err = run("reconcile", "--plan", tmp_path / "missing")
    assert (code, err) == (2, f"gatekeeper: {tmp_path / 'missing'}: no such file or folder\n")


@pytest.mark.parametrize("mode", ["--plan", "--once"])
def test_a_cluster_is_needed_to_plan_and_to_apply(run: Run, tmp_path: Path, mode: str) -> None:
    code, _, err = run("reconcile", mode, tmp_path)
    assert code == 2 and "--kubeconfig" in err
