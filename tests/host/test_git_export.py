"""Copies of what Git has."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.host import git_export
from tests.host import commit_files, run_git


def test_the_index_is_written_out_without_what_is_not_staged(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "committed", "sub/b.txt": "b"})
    (root / "a.txt").write_text("staged")
    run_git(root, "add", "a.txt")
    (root / "a.txt").write_text("not staged")
    (root / "new.txt").write_text("not staged")
    with git_export.checkout_index(root) as copy:
        assert {path.name: path.read_text() for path in copy.glob("*.txt")} == {"a.txt": "staged"}
    assert not copy.exists()
    with git_export.checkout_index(root / "sub") as copy:
        assert [path.name for path in copy.iterdir()] == ["b.txt"]


def test_a_commit_is_written_out_and_the_index_stays(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "first"})
    commit_files(root, {"a.txt": "second"})
    before = (root / ".git" / "index").read_bytes()
    with git_export.checkout_commit(root, "HEAD~1") as copy:
        assert (copy / "a.txt").read_text() == "first"
    assert (root / ".git" / "index").read_bytes() == before
    with pytest.raises(ToolError, match="`git read-tree` failed"), git_export.checkout_commit(root, "nowhere"):
        pass


def test_an_archive_of_a_revision_has_its_files(tmp_path: Path) -> None:
    root = commit_files(tmp_path / "r", {"a.txt": "a"})
    for content in (git_export.archive_revision(root, "main"), git_export.fetch_archive(str(root), "main")):
        with tarfile.open(fileobj=io.BytesIO(content or b"")) as archive:
            assert archive.getnames() == ["a.txt"]
    for revision in ("nowhere", "--output=x"):
        assert git_export.archive_revision(root, revision) is None
        assert git_export.fetch_archive(str(root), revision) is None
