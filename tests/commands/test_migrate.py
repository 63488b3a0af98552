"""`gatekeeper migrate`: rewrites files below folders, and lists what needs a manual change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.conftest import Run

STORE = "apiVersion: external-secrets.io/v1beta1\nkind: SecretStore\nmetadata: {name: vault}\nspec: {provider: {}}\n"


@pytest.fixture
def store_file(tmp_path: Path) -> Path:
    """A SecretStore of an old API version, beside files that stay unchanged."""
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps" / "store.yaml").write_text(STORE)
    (tmp_path / "apps" / "map.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: v1beta1}\n")
    (tmp_path / "notes.md").write_text(STORE)
    return tmp_path / "apps" / "store.yaml"


def test_a_dry_run_changes_nothing_and_reports_the_file(run: Run, store_file: Path, tmp_path: Path) -> None:
    assert run("migrate", "--dry-run", tmp_path) == (1, f"{store_file}: 1 would be rewritten\n", "")
    assert store_file.read_text() == STORE


def test_a_file_is_rewritten_once(run: Run, store_file: Path, tmp_path: Path) -> None:
    assert run("migrate", tmp_path) == (0, f"{store_file}: 1 rewritten\n", "")
    assert store_file.read_text() == STORE.replace("v1beta1", "v1")
    assert (tmp_path / "notes.md").read_text() == STORE
    assert run("migrate", tmp_path) == (0, "", "")


def test_a_file_that_cannot_be_parsed_is_reported_and_stays(run: Run, store_file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(f"{STORE}  x: [\n")
    code, out, _ = run("migrate", tmp_path)
    assert code == 1 and f"{broken}:" in out and f"{store_file}: 1 rewritten\n" in out
    assert broken.read_text() == f"{STORE}  x: [\n"
