"""`gatekeeper sync`: plans without reading, reads a folder in place of a store, and refuses conflicting options."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.commands import sync
from tests.commands.conftest import Run
from tests.conftest import Repository

STORE = """apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: aws, namespace: prod}
spec: {provider: {aws: {service: SecretsManager, region: eu-central-1}}}
"""
EXTERNAL_SECRET = """apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: db, namespace: prod}
spec:
  refreshInterval: 1m
  secretStoreRef: {name: aws}
  data: [{secretKey: password, remoteRef: {key: db}}]
"""


@pytest.fixture
def root(repository: Repository) -> Path:
    return repository({"secret.yaml": f"{STORE}---\n{EXTERNAL_SECRET}"})


def test_a_plan_lists_the_reads_and_their_price(run: Run, root: Path) -> None:
    code, out, err = run("sync", "--plan", root)
    assert (code, err) == (0, "")
    assert "1 ExternalSecrets\n" in out and "1 reads for 1 references" in out and "requests per month, $0." in out


def test_a_plan_over_the_budget_is_refused(run: Run, root: Path) -> None:
    code, out, _ = run("sync", "--plan", "--budget", "0.01", root)
    assert code == 1 and "budget of" in out.splitlines()[-1] and "0.01" in out.splitlines()[-1]
    assert run("sync", "--plan", "--budget", "10", root).code == 0


def test_a_dry_run_reads_a_folder_in_place_of_the_store_and_prints_no_value(
    run: Run, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "db").write_text("hunter2")
    code, out, err = run("sync", "--dry-run", "--directory", f"aws={tmp_path / 'dev'}", root)
    assert (code, err) == (0, "") and "prod/db" in out and "password" in out and "hunter2" not in out


def test_an_unknown_external_secret_cannot_be_explained(run: Run, root: Path, tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    code, _, err = run("sync", "--explain", "prod/none", "--directory", f"aws={tmp_path / 'dev'}", root)
    assert code == 2 and "--explain prod/none: no such ExternalSecret" in err


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (["--once"], "--kubeconfig"),
        (["--watch"], "--kubeconfig"),
        (["--dry-run", "--from-cluster"], "--kubeconfig"),
        (["--once", "--seal", "cert.pem"], "--to"),
        (["--dry-run", "--directory", "aws"], "STORE=DIR"),
    ],
)
def test_missing_options_are_usage_errors(run: Run, root: Path, arguments: list[str], missing: str) -> None:
    code, out, err = run("sync", *arguments, root)
    assert (code, out) == (2, "") and missing in err


@pytest.mark.parametrize("name", ["--interval", "--every"])
def test_the_old_name_of_the_interval_is_still_valid(name: str) -> None:
    assert sync._build_parser().parse_args(["--watch", name, "30"]).interval == 30.0
