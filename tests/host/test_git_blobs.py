"""Files that are compared with the index by their digests: only what is surely equal is equal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.host import git_blobs, git_state
from tests.host import commit_files, run_git

FILES = {"rules/a.rego": "a", "rules/deep/b.rego": "b", "rules2/c": "c", "x\trules/d": "d", "one": "1", "n\u00e4w": "n"}


def list_index(root: Path) -> bytes:
    return git_state.read_staged(root).listing


def test_files_of_the_index_are_equal_below_files_and_folders_and_where_nothing_is(tmp_path: Path) -> None:
    root = commit_files(tmp_path, FILES)
    listing = list_index(root)
    assert git_blobs.has_equal_files(
        root, ["rules", "rules/deep", "rules2", "one", "missing", "n\u00e4w", "x\trules"], listing
    )
    (root / "rules" / os.fsdecode(b"\xff")).write_bytes(b"not UTF-8")
    run_git(root, "add", ".")
    assert git_blobs.has_equal_files(root, ["rules"], list_index(root))


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "rules/a.rego").write_text("b"),
        lambda root: (root / "rules/deep/b.rego").unlink(),
        lambda root: (root / "rules/new").write_text(""),
        lambda root: (root / "rules/.hidden").write_text(""),
        lambda root: ((root / "rules/a.rego").unlink(), (root / "rules/a.rego").symlink_to("../same")),
        lambda root: ((root / "rules/a.rego").unlink(), (root / "rules/a.rego").mkdir()),
        lambda root: os.mkfifo(root / "rules/pipe"),
        lambda root: (root / "rules/link").symlink_to("a.rego"),
    ],
    ids=["edit", "delete", "add", "hide", "link with equal content", "folder", "pipe", "new link"],
)
def test_every_difference_is_found(tmp_path: Path, change: object) -> None:
    root = commit_files(tmp_path, {**FILES, "same": "a"})
    listing = list_index(root)
    assert callable(change)
    change(root)
    assert not git_blobs.has_equal_files(root, ["one", "rules"], listing)
    assert git_blobs.has_equal_files(root, ["one", "rules2"], listing)


def test_links_and_submodules_are_left_to_git(tmp_path: Path) -> None:
    inner, root = commit_files(tmp_path / "inner", {"i": "i"}), commit_files(tmp_path / "root", FILES)
    (root / "link").symlink_to("one")
    run_git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "module")
    run_git(root, "add", ".")
    listing = list_index(root)
    assert not git_blobs.has_equal_files(root, ["link"], listing)
    assert not git_blobs.has_equal_files(root, ["module"], listing)


@settings(deadline=None, max_examples=10)
@given(st.binary(max_size=100))
@pytest.mark.parametrize(("kind", "length"), [("sha1", 40), ("sha256", 64)])
def test_digest_is_that_of_git(
    tmp_path_factory: pytest.TempPathFactory, kind: str, length: int, content: bytes
) -> None:
    root = tmp_path_factory.mktemp(kind)
    run_git(root, "init", "--quiet", f"--object-format={kind}")
    (root / "file").write_bytes(content)
    digest = run_git(root, "hash-object", "--no-filters", "file").strip().encode()
    assert git_blobs.compute_digest(content, length) == digest
