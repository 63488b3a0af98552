"""Which files a run checks: those of Git that are not ignored or excluded by the config; each gap is reported."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gatekeeper.errors import UsageError
from gatekeeper.host import git_state
from gatekeeper.workspace import file_selection
from tests.conftest import Repository


def run_git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", root, *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def cloned(repository: Repository) -> Path:
    """A Git repository with a file that is committed, one that is new, and one that is ignored."""
    root = repository({"a.yaml": "a: 1\n", ".gitignore": "ignored.yaml\n", "sub/b.yaml": "b: 1\n", "name é.yaml": ""})
    run_git(root, "init", "-q", "-b", "main")
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "first")
    (root / "new.yaml").write_text("")
    (root / "ignored.yaml").write_text("")
    return root


def files(root: Path, *below: Path, exclude: tuple[str, ...] = ()) -> list[str]:
    found = file_selection.build_tree(list(below) or [root], root, exclude).files
    return [file for file in found if file != "gatekeeper.yaml"]


def test_git_says_which_files_there_are(cloned: Path) -> None:
    assert files(cloned) == [".gitignore", "a.yaml", "name é.yaml", "new.yaml", "sub/b.yaml"]


def test_a_folder_or_a_file_can_be_named(cloned: Path) -> None:
    assert files(cloned, cloned / "sub", cloned / "a.yaml") == ["a.yaml", "sub/b.yaml"]


def test_deleted_file_that_is_still_listed_is_skipped(cloned: Path) -> None:
    (cloned / "a.yaml").unlink()
    assert "a.yaml" not in files(cloned)


def test_without_git_every_file_counts(repository: Repository) -> None:
    assert files(repository({"a.yaml": "", "sub/x.txt": ""})) == ["a.yaml", "sub/x.txt"]


@pytest.mark.parametrize("pattern", ["sub", "sub/", "sub/*", "*/b.yaml"])
def test_excluded_files_of_the_config_are_reported(cloned: Path, pattern: str) -> None:
    tree = file_selection.build_tree([cloned], cloned, [pattern])
    assert "sub/b.yaml" not in tree.files
    assert [gap.reason for gap in tree.gaps] == [f"excluded by the config (`{pattern}`)"]


def test_a_path_outside_of_the_repository_is_refused(cloned: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="outside the repository"):
        file_selection.build_tree([tmp_path], cloned, ())


def test_revision_marks_a_changed_work_tree(cloned: Path) -> None:
    clean = git_state.describe_revision(cloned)
    assert clean and len(clean) == 40
    (cloned / "a.yaml").write_text("a: 2\n")
    assert git_state.describe_revision(cloned) == f"{clean}-dirty"
    assert git_state.describe_revision(cloned / "sub") == f"{clean}-dirty"


def test_outside_of_git_there_is_no_revision(tmp_path: Path) -> None:
    assert git_state.describe_revision(tmp_path) is None


def test_a_repositorys_own_git_settings_start_no_program(cloned: Path, tmp_path: Path) -> None:
    mark = tmp_path / "started"
    hook = tmp_path / "monitor"
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    run_git(cloned, "config", "core.fsmonitor", str(hook))
    files(cloned)
    git_state.describe_revision(cloned)
    assert not mark.exists()


def test_a_folder_with_too_many_files_is_refused_unless_git_lists_them(
    cloned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_selection, "MAX_WALKED_FILES", 3)
    assert len(files(cloned)) == 5
    root = tmp_path / "other"
    for file in ("a/1", "a/2", "b/3"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("")
    assert len(files(root, root / "a", root / "b")) == 3
    (root / "b" / "4").write_text("")
    with pytest.raises(UsageError, match="more than 3 files in a folder that is no Git repository; name the folders"):
        files(root)
