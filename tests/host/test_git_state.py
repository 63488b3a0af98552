"""What Git says of a work tree and its index."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.errors import UsageError
from gatekeeper.host import git_state
from gatekeeper.host.git_state import WorkTreeState
from tests.host import commit_files, run_git


def test_a_staged_file_is_read_from_the_index_and_not_from_the_disk(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "first"})
    (root / "a.txt").write_text("second")
    run_git(root, "add", "a.txt")
    (root / "a.txt").write_text("third")
    assert git_state.read_staged_file(root, "a.txt") == b"second"


@pytest.mark.parametrize("name", ["b.txt", "sub", "*", "a.txt/x"])
def test_path_outside_the_index_is_none(tmp_path: Path, name: str) -> None:
    root = commit_files(tmp_path, {"a.txt": "a", "sub/b.txt": "b"})
    assert git_state.read_staged_file(root, name) is None


@pytest.mark.parametrize("name", ["x y.txt", "ü.txt", "[a].txt", "-n"])
def test_names_are_read_literally_from_a_folder_below_the_root(tmp_path: Path, name: str) -> None:
    root = commit_files(tmp_path, {f"sub/{name}": "content"})
    assert git_state.read_staged_file(root / "sub", name) == b"content"
    assert git_state.list_files(root, root) == [f"sub/{name}"]


def test_head_and_branch_before_the_first_commit_and_on_a_detached_head(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "--quiet", "--initial-branch=main")
    assert (git_state.get_head_commit(tmp_path), git_state.get_branch(tmp_path)) == ("", "main")
    assert git_state.describe_revision(tmp_path) is None
    commit = run_git(commit_files(tmp_path, {"a.txt": "a"}), "rev-parse", "HEAD").strip()
    run_git(tmp_path, "checkout", "--quiet", "--detach")
    assert (git_state.get_head_commit(tmp_path), git_state.get_branch(tmp_path)) == (commit, "")


def test_a_changed_work_tree_is_described_as_dirty(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "a"})
    commit = git_state.get_head_commit(root)
    assert git_state.describe_revision(root) == commit
    (root / "a.txt").write_text("b")
    assert git_state.describe_revision(root) == f"{commit}-dirty"


def read_state(root: Path) -> WorkTreeState:
    state = git_state.read_state(root)
    assert state is not None
    return state


def test_changed_new_and_ignored_files_are_reported_apart(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "a", "b.txt": "b", ".gitignore": "*.tmp\n"})
    for file in ("a.txt", "new.txt", "x.tmp"):
        (root / file).write_text("changed")
    state = read_state(root)
    assert state.changed_files == {"a.txt"} and state.new_files == {"new.txt"} and state.ignored_files == {"x.tmp"}
    assert not state.is_equal_to_index


def test_a_file_is_tracked_until_it_is_removed_from_the_index(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "a"})
    assert git_state.is_tracked(root / "a.txt")
    git_state.untrack_file(root / "a.txt")
    assert not git_state.is_tracked(root / "a.txt") and (root / "a.txt").exists()
    git_state.add_file(root / "a.txt")
    assert git_state.is_tracked(root / "a.txt")


def test_a_conflict_in_the_index_is_a_usage_error(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "base"})
    run_git(root, "checkout", "--quiet", "-b", "other")
    commit_files(root, {"a.txt": "theirs"})
    run_git(root, "checkout", "--quiet", "main")
    commit_files(root, {"a.txt": "ours"})
    with pytest.raises(Exception, match="returned non-zero"):
        run_git(root, "merge", "--quiet", "other")
    with pytest.raises(UsageError, match=r"a\.txt: has conflicts in the index"):
        git_state.list_staged_files(root)


def test_files_whose_changes_git_ignores_leave_no_state(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "a"})
    assert git_state.read_state(root) is not None
    run_git(root, "update-index", "--assume-unchanged", "a.txt")
    assert git_state.read_state(root) is None


def test_an_ignored_file_next_to_tracked_ones_keeps_the_work_tree_from_being_the_index(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {".gitignore": "*.tmp\nbuild/\n", "apps/a.yaml": "a"})
    (root / "build").mkdir()
    (root / "build" / "out").write_text("")
    assert read_state(root).is_equal_to_index
    (root / "apps" / "x.tmp").write_text("")
    assert not read_state(root).is_equal_to_index
