"""Conflicts in `gatekeeper.lock`: real merges of Git, of which the sources of both sides are kept."""

from __future__ import annotations

import subprocess
from pathlib import Path

import orjson
import pytest

from gatekeeper.errors import UsageError
from gatekeeper.host.toolchain import TOOLS, Toolchain
from gatekeeper.sources.model import SourcePin
from gatekeeper.workspace import lock_merge, lockfile


def pin(letter: str) -> SourcePin:
    return SourcePin("1.0.0", "https://charts.example.com/a.tgz", f"sha256:{letter * 64}", size=1)


def git(root: Path, *words: str) -> int:
    command = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@example.com", *words]
    return subprocess.run(command, capture_output=True, check=False).returncode


def merge(root: Path, base: dict[str, SourcePin], ours: dict[str, SourcePin], theirs: dict[str, SourcePin]) -> int:
    """Merges two branches that changed the lock; the status of `git merge`."""
    git(root, "init", "-q", "-b", "main")
    for branch, pins in (("main", base), ("theirs", theirs), ("ours", ours)):
        git(root, "checkout", "-q", "-B", branch, *([] if branch == "main" else ["main"]))
        lockfile.write_sources(root, pins)
        git(root, "add", "-A")
        git(root, "commit", "-qm", branch)
    return git(root, "merge", "-q", "theirs")


def test_sources_of_both_sides_are_kept(tmp_path: Path) -> None:
    # Neighbours in the file: Git cannot merge them by itself.
    assert merge(tmp_path, {}, {"helm https://a x 1": pin("a")}, {"helm https://a y 1": pin("b")}) != 0
    with pytest.raises(UsageError):
        lockfile.load(tmp_path)
    assert lock_merge.resolve_conflicts(tmp_path) == []
    assert lockfile.load(tmp_path).sources.pins == {"helm https://a x 1": pin("a"), "helm https://a y 1": pin("b")}


def test_distant_sources_merge_without_a_conflict(tmp_path: Path) -> None:
    base = {f"helm https://a m{number} 1": pin("a") for number in range(6)}
    ours, theirs = {**base, "helm https://a a 1": pin("b")}, {**base, "helm https://a z 1": pin("c")}
    assert merge(tmp_path, base, ours, theirs) == 0
    assert lockfile.load(tmp_path).sources.pins == ours | theirs


def test_a_source_that_both_sides_pin_otherwise_is_fetched_again(tmp_path: Path) -> None:
    key = "helm https://a x 1"
    assert merge(tmp_path, {key: pin("a")}, {key: pin("b")}, {key: pin("c")}) != 0
    assert lock_merge.resolve_conflicts(tmp_path) == [key]
    assert lockfile.load(tmp_path).sources.pins == {}


def test_a_conflict_in_the_tools_is_left_to_the_user(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    for branch, version in (("main", "v1.0.0"), ("theirs", "v1.0.1"), ("ours", "v1.0.2")):
        git(tmp_path, "checkout", "-q", "-B", branch, *([] if branch == "main" else ["main"]))
        lockfile.write_tools(tmp_path, Toolchain({"opa": TOOLS["opa"]._replace(version=version)}), {})
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-qm", branch)
    assert git(tmp_path, "merge", "-q", "theirs") != 0
    before = (tmp_path / lockfile.LOCK_FILE).read_bytes()
    with pytest.raises(UsageError, match=r"both sides of the merge changed `tools`; resolve that conflict by hand"):
        lock_merge.resolve_conflicts(tmp_path)
    assert (tmp_path / lockfile.LOCK_FILE).read_bytes() == before


@pytest.mark.parametrize(
    "text",
    ["", "{}", "=======\n", "<<<<<<< a\n", "<<<<<<< a\n>>>>>>> b\n", "<<<<<<< a\n=======\n", ">>>>>>> b\n<<<<<<< a\n"],
)
def test_a_file_without_whole_markers_has_no_sides(text: str) -> None:
    assert lock_merge.split_sides(text) is None


def test_the_base_of_a_conflict_is_on_no_side() -> None:
    text = "0\n<<<<<<< a\n1\n||||||| c\n2\n=======\n3\n>>>>>>> b\n4\n"
    assert lock_merge.split_sides(text) == ("0\n1\n4\n", "0\n3\n4\n")


def test_a_lock_without_a_conflict_stays(tmp_path: Path) -> None:
    assert lock_merge.resolve_conflicts(tmp_path) == []
    (tmp_path / lockfile.LOCK_FILE).write_bytes(orjson.dumps({"schema": lockfile.SCHEMA, "tools": {}}))
    assert lock_merge.resolve_conflicts(tmp_path) == []
