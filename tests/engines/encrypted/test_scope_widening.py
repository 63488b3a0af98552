"""A scope that is wider than at the base is reported, in a pull request and in the hook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Repository, verdict_of
from tests.engines.encrypted.test_sealed_values import value
from tests.workspace.test_file_selection import run_git

SCOPE = "sealedsecrets.bitnami.com/"


def text(name: str, scope: str = "") -> str:
    noted = f", annotations: {{{SCOPE}{scope}: 'true'}}" if scope else ""
    return (
        f"apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {{name: {name}, namespace: prod{noted}}}\n"
        f"spec:\n  encryptedData: {{p: {value(512)}}}\n"
    )


@pytest.fixture
def root(repository: Repository) -> Path:
    root = repository(
        {"a.yaml": text("a") + "---\n" + text("b", "namespace-wide"), "c.yaml": text("c", "cluster-wide")}
    )
    run_git(root, "init", "-q", "-b", "main")
    run_git(root, "add", "-A")
    run_git(root, "commit", "-q", "-m", "x")
    return root


def widened(root: Path, *arguments: str) -> list[Any]:
    found = verdict_of(*arguments, cwd=root)[1]["findings"]
    return [one for one in found if one["rule"] == "sealed/scope-widened"]


def test_wider_scope_is_reported_and_a_narrower_one_is_not(root: Path) -> None:
    (root / "a.yaml").write_text(text("a") + "---\n" + text("b", "cluster-wide"))
    (root / "c.yaml").write_text(text("c"))
    (root / "new.yaml").write_text(text("new", "cluster-wide"))
    [finding] = widened(root, "--since", "HEAD")
    assert (finding["file"], finding["line"], finding["resource"]["name"]) == ("a.yaml", 9, "b")
    assert "widened from namespace-wide to cluster-wide" in finding["message"]
    assert widened(root, "--staged") == []
    run_git(root, "add", "-A")
    assert len(widened(root, "--staged")) == 1
    run_git(root, "commit", "-q", "-m", "wider")
    assert widened(root, "--staged") == widened(root, "--since", "HEAD") == widened(root) == []
    assert len(widened(root, "--since", "HEAD~1")) == 1


def test_a_file_that_moved_is_compared_with_what_it_was(root: Path) -> None:
    (root / "sub").mkdir()
    run_git(root, "mv", "a.yaml", "sub/a.yaml")
    (root / "sub/a.yaml").write_text(text("a", "namespace-wide") + "---\n" + text("b", "namespace-wide"))
    run_git(root, "add", "-A")
    run_git(root, "commit", "-q", "-m", "moved")
    [finding] = widened(root, "--since", "HEAD~1")
    assert finding["file"] == "sub/a.yaml" and "widened from strict to namespace-wide" in finding["message"]
