"""What Git says of commits."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.errors import ToolError, UsageError
from gatekeeper.host import git_history
from tests.host import commit_files, run_git


def test_a_file_is_read_as_a_commit_has_it(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"sub/a.txt": "first"})
    commit_files(root, {"sub/a.txt": "second"})
    assert git_history.read_file_at_commit(root, "HEAD~1", "sub/a.txt") == b"first"
    assert git_history.read_file_at_commit(root / "sub", "HEAD", "a.txt") == b"second"
    assert git_history.read_file_at_commit(root, "HEAD", "b.txt") is None
    assert git_history.read_file_at_commit(root, "HEAD", "sub") is None


def test_an_unknown_commit_is_an_error_and_not_a_missing_file(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "a"})
    with pytest.raises(ToolError, match="`git ls-tree` failed: Not a valid object name nowhere"):
        git_history.read_file_at_commit(root, "nowhere", "a.txt")


def test_a_moved_file_is_a_rename(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"old name.txt": "some content\n" * 9})
    run_git(root, "mv", "old name.txt", "new.txt")
    assert git_history.list_renames(root, "HEAD") == {"new.txt": "old name.txt"}


def test_committed_lines_have_times_and_new_lines_have_none(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "one\ntwo\n"})
    (root / "a.txt").write_text("one\nnew\ntwo\n")
    # 2026-03-01T12:00:00Z.
    assert git_history.read_line_times(root, "a.txt") == {1: 1772366400, 3: 1772366400}
    assert git_history.read_line_times(root, "b.txt") == {}


@pytest.mark.parametrize(
    ("revision", "message"),
    [
        ("--all", "not a revision"),
        ("nowhere", "commit not found"),
        ("a..b", "commit not found"),
        ("alone", "in common"),
    ],
)
def test_a_revision_without_a_merge_base_is_a_usage_error(tmp_path: Path, revision: str, message: str) -> None:
    root = commit_files(tmp_path, {"a.txt": "a"})
    run_git(root, "branch", "alone", run_git(root, "commit-tree", "HEAD^{tree}", "-m", "no parent").strip())
    with pytest.raises(UsageError, match=message):
        git_history.find_merge_base(root, revision)
    assert git_history.find_merge_base(root, "main") == run_git(root, "rev-parse", "HEAD").strip()


def test_files_that_were_ever_tracked_are_found_with_their_commits(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"gone.txt": "a", "kept.txt": "b"})
    (root / "gone.txt").unlink()
    commit_files(root, {"new.txt": "c"})
    (root / "never.txt").write_text("d")
    assert git_history.find_ever_tracked(root, ["gone.txt", "kept.txt", "never.txt"]) == {"gone.txt", "kept.txt"}
    assert [commit.date for commit in git_history.list_file_commits(root / "gone.txt")] == ["2026-03-01"] * 2
    assert git_history.list_file_commits(root / "never.txt") == []


def test_nothing_was_ever_tracked_outside_of_git_or_before_the_first_commit(tmp_path: Path) -> None:
    assert git_history.find_ever_tracked(tmp_path, ["a.txt"]) == frozenset()
    run_git(tmp_path, "init", "--quiet")
    assert git_history.find_ever_tracked(tmp_path, ["a.txt"]) == frozenset()
