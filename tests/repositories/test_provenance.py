"""The provenance of a commit: author, signer and pull request, as the audit log names them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.repositories import git_fetch, git_transport, provenance
from gatekeeper.repositories.provenance import CommitProvenance
from tests.repositories.git_work import Work, fetch, source


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("Merge pull request #12 from a/b\n\nTitle", "#12"),
        ("Add a shop (#7)\n\nmore", "#7"),
        ("Add (#7) a shop", ""),
        ("Merge branch 'x'\n\nSee merge request org/repo!34", "!34"),
        ("x", ""),
    ],
)
def test_provenance_has_author_and_pull_request(
    message: str, change: str, work: Work, handed: MemoryFiles, tmp_path: Path
) -> None:
    work.commit("a.yaml", "a: b\n", "-m", "x")
    work.git("commit", "-q", "--amend", "-m", message)
    one = source(f"file://{work.root}", ref={"branch": "main"})
    _, folder = fetch(one, {}, handed, tmp_path / "kept")
    found = provenance.read_provenance(one, git_transport.build_transport(one.url, {}, handed), folder, "SHA256:x")
    assert found == provenance.CommitProvenance("a <a@example.com>", "SHA256:x", change)
    shutil.rmtree(folder.parent / git_fetch.MIRROR_NAME)
    assert provenance.read_provenance(one, git_transport.build_transport(one.url, {}, handed), folder).author == ""


def test_the_signer_stays_known_where_the_mirror_was_removed(handed: MemoryFiles, tmp_path: Path) -> None:
    one = source("https://git.example/r")
    transport = git_transport.build_transport(one.url, {}, handed)
    found = provenance.read_provenance(one, transport, tmp_path / ("1" * 40), "SHA256:x")
    assert found == CommitProvenance("", "SHA256:x", "")


def test_the_included_files_of_a_commit_have_the_provenance_of_that_commit(
    work: Work, handed: MemoryFiles, tmp_path: Path
) -> None:
    work.commit()
    one = source(f"file://{work.root}", ref={"branch": "main"})
    _, folder = fetch(one, {}, handed, tmp_path / "kept")
    work.commit("b.yaml", "b", "--author", "later <later@example.com>")
    transport = git_transport.build_transport(one.url, {}, handed)
    copy = folder.rename(folder.with_name(folder.name.partition("-")[0] + "-with-includes"))
    assert provenance.read_provenance(one, transport, copy).author == "a <a@example.com>"
