"""The plain Git hooks, by real commits and pushes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gatekeeper
from tests.conftest import Repository
from tests.gate.test_pipeline import GOOD
from tests.workspace.test_file_selection import run_git

HOOKS = Path(gatekeeper.__file__).parent / "scaffold" / "hooks"
BROKEN = GOOD.replace("\ndata:", "\ndta:")


@pytest.fixture
def cloned(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with both hooks, a bare one to push to, and `gatekeeper` on the PATH."""
    root = repository({"a.yaml": GOOD, "old.yaml": BROKEN.replace("name: a", "name: old")})
    run_git(root, "init", "-q", "-b", "main")
    run_git(root, "config", "user.name", "a")
    run_git(root, "config", "user.email", "a@example.com")
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "first")
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "there"], check=True)
    run_git(root, "remote", "add", "origin", str(tmp_path / "there"))
    run_git(root, "push", "-q", "origin", "main")
    for name in ("pre-commit", "pre-push"):
        shutil.copy(HOOKS / name, root / ".git" / "hooks" / name)
    program = tmp_path / "bin" / "gatekeeper"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m gatekeeper "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return root


def git(root: Path, *arguments: str) -> tuple[bool, str]:
    done = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode == 0, done.stdout + done.stderr


def test_only_findings_of_the_commit_refuse_it(cloned: Path) -> None:
    (cloned / "new.yaml").write_text(GOOD.replace("name: a", "name: new"))
    run_git(cloned, "add", ".")
    passed, told = git(cloned, "commit", "-qm", "good")
    assert passed, told
    (cloned / "new.yaml").write_text(BROKEN.replace("name: a", "name: new"))
    run_git(cloned, "add", ".")
    passed, told = git(cloned, "commit", "-qm", "bad")
    assert not passed
    assert "new.yaml:4:1: error: unknown field `dta`" in told and "old.yaml" not in told


@pytest.mark.parametrize("how", [["-a"], ["--", "new.yaml"]], ids=["all", "one file"])
def test_a_commit_that_stages_by_itself_is_checked_too(cloned: Path, how: list[str]) -> None:
    (cloned / "new.yaml").write_text(GOOD.replace("name: a", "name: new"))
    run_git(cloned, "add", ".")
    run_git(cloned, "commit", "-qm", "good")
    (cloned / "new.yaml").write_text(BROKEN.replace("name: a", "name: new"))
    passed, told = git(cloned, "commit", "-qm", "bad", *how)
    assert not passed
    assert "new.yaml:4:1: error" in told


def test_push_is_checked_against_the_commit_of_the_remote(cloned: Path) -> None:
    (cloned / "new.yaml").write_text(GOOD.replace("name: a", "name: new"))
    run_git(cloned, "add", ".")
    run_git(cloned, "commit", "-qm", "good")
    passed, told = git(cloned, "push", "origin", "main")
    assert passed, told
    (cloned / "new.yaml").write_text(BROKEN.replace("name: a", "name: new"))
    run_git(cloned, "commit", "-qam", "bad", "--no-verify")
    passed, told = git(cloned, "push", "origin", "main")
    assert not passed
    assert "new.yaml:4:1: error" in told and "old.yaml" not in told


def test_a_new_branch_is_checked_as_a_whole_and_a_deleted_one_not_at_all(cloned: Path) -> None:
    passed, told = git(cloned, "push", "origin", "main:other")
    assert not passed
    assert "old.yaml:4:1: error" in told
    run_git(cloned, "push", "--no-verify", "origin", "main:other")
    passed, told = git(cloned, "push", "origin", ":other")
    assert passed, told
