"""A failure of Git is an error, and never reads as "there is no such file"."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.host import git_command, git_export, git_history, git_state
from gatekeeper.host.git_command import NotARepositoryError
from tests.conftest import command
from tests.host import commit_files, run_git

QUESTIONS: dict[str, Callable[[Path], object]] = {
    "staged file": lambda root: git_state.read_staged_file(root, "a.txt"),
    "file at a commit": lambda root: git_history.read_file_at_commit(root, "HEAD", "a.txt"),
    "renames": lambda root: git_history.list_renames(root, "HEAD"),
    "branch": git_state.get_branch,
    "ever tracked": lambda root: git_history.find_ever_tracked(root, ["a.txt"]),
    "commits of a file": lambda root: git_history.list_file_commits(root / "a.txt"),
    "tracked": lambda root: git_state.is_tracked(root / "a.txt"),
    "staged changes": git_state.read_staged,
    "unstaged files": lambda root: git_state.has_unstaged_files(root, ["a.txt"]),
    "objects": lambda root: git_command.read_objects(root, ["HEAD"]),
    "changed files": lambda root: git_state.list_changed_files(root, "HEAD"),
    "merge base": lambda root: git_history.find_merge_base(root, "HEAD"),
}


def replace_git(folder: Path, script: str) -> str:
    """Puts a shell script named `git` first on the PATH; it may run the real one as `$GIT`."""
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\nGIT={shutil.which('git')}\n{script}\n")
    (folder / "git").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_failing_git_is_an_error(question: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = commit_files(tmp_path / "r", {"a.txt": "a"})
    monkeypatch.setenv("PATH", replace_git(tmp_path / "bin", "echo 'fatal: bad object' >&2; exit 129"))
    with pytest.raises(ToolError, match="failed: bad object"):
        QUESTIONS[question](root)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_git_that_takes_too_long_is_an_error(question: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = commit_files(tmp_path / "r", {"a.txt": "a"})
    monkeypatch.setattr(git_command, "TIMEOUT_SECONDS", 0.2)
    monkeypatch.setenv("PATH", replace_git(tmp_path / "bin", "exec sleep 30"))
    with pytest.raises(ToolError, match=r"git took longer than 0\.2 seconds"):
        QUESTIONS[question](root)


def test_a_broken_index_is_an_error_and_not_a_missing_file(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "a"})
    (root / ".git" / "index").write_bytes(b"DIRC broken")
    with pytest.raises(ToolError, match=r"`git ls-files` failed: .*index file smaller than expected"):
        git_state.read_staged_file(root, "a.txt")


def test_a_file_whose_content_is_lost_is_an_error_and_not_a_missing_file(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "a"})
    for path in (root / ".git" / "objects").glob("??/*"):
        if run_git(root, "cat-file", "-t", path.parent.name + path.name).strip() == "blob":
            path.unlink()
    for question in ("staged file", "file at a commit"):
        with pytest.raises(ToolError, match="`git cat-file` failed"):
            QUESTIONS[question](root)


def test_outside_of_git_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(NotARepositoryError, match="not in a Git repository"):
        git_state.read_staged(tmp_path)
    with pytest.raises(NotARepositoryError), git_export.checkout_index(tmp_path):
        pass


@pytest.mark.parametrize("script", ["exit 1", "exec sleep 30"], ids=["fails", "hangs"])
def test_check_staged_ends_with_3_if_git_cannot_read_the_staged_config(tmp_path: Path, script: str) -> None:
    """The default configuration would accept this repository."""
    root = commit_files(
        tmp_path / "r", {"gatekeeper.yaml": "policies: {paths: [policies]}\n", "policies/broken.rego": "package\n"}
    )
    assert command("check", "--staged", cwd=root)[0] == 3, "with its own configuration it is refused"
    # Only the question for the one file fails: listing what is staged works.
    path = replace_git(tmp_path / "bin", f'case "$*" in *"show :"*|*cat-file*) {script};; esac\nexec $GIT "$@"')
    # A cold start, and the time-out as a user would have it, only shorter.
    program = (
        "import sys, gatekeeper.host.git_command as g; g.TIMEOUT_SECONDS = 2.0;"
        "from gatekeeper.cli import main; sys.exit(main(['check', '--staged']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    code, out, err = done.returncode, done.stdout, done.stderr
    assert code == 3 and not out and ("`git cat-file` failed" in err or "took longer than 2 seconds" in err), err


def test_objects_are_read_with_one_process_and_a_missing_one_is_none(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "a\n\nb", "empty": ""})
    blobs = [run_git(root, "rev-parse", f"HEAD:{name}").strip() for name in ("a.txt", "empty")]
    text, missing, empty, again = git_command.read_objects(root, [blobs[0], "0" * 40, blobs[1], blobs[0]])
    assert text == again == (blobs[0], b"a\n\nb") and missing is None and empty == (blobs[1], b"")
    assert git_command.read_objects(root, []) == []


@pytest.mark.parametrize("answer", ["", "HEAD", "HEAD ambiguous", "1 commit 9\\nabc"])
def test_an_incomplete_answer_about_objects_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    root = commit_files(tmp_path / "r", {"a.txt": "a"})
    monkeypatch.setenv("PATH", replace_git(tmp_path / "bin", f"printf '{answer}'"))
    with pytest.raises(ToolError, match="its answer is not complete"):
        git_command.read_objects(root, ["HEAD"])
