"""Which files lie below a folder that a user names, and how the files of a run are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from gatekeeper._native import read_files
from gatekeeper.model import Gap
from gatekeeper.workspace import tree as workspace_tree
from gatekeeper.workspace.tree import Tree


def test_files_below_a_folder_are_listed_without_git_and_without_following_links(tmp_path: Path) -> None:
    for name in ("b/x.yaml", "a.yaml", "a.rego", ".git/config.yaml", "b/.git/y.yaml", "c.yaml/z.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "link.yaml").symlink_to("a.yaml")
    (tmp_path / "lost.yaml").symlink_to("nowhere")
    (tmp_path / "folder").symlink_to("b")
    listed = workspace_tree.list_files_below(tmp_path, (".yaml",))
    assert [path.relative_to(tmp_path).as_posix() for path in listed] == ["a.yaml", "b/x.yaml", "link.yaml"]
    assert len(workspace_tree.list_files_below(tmp_path)) == 5


def test_file_lists_itself_and_a_missing_path_has_no_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    assert workspace_tree.list_files_below(tmp_path / "a.txt", (".yaml",)) == [tmp_path / "a.txt"]
    assert workspace_tree.list_files_below(tmp_path / "nowhere") == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0)
    with pytest.raises(PermissionError):
        workspace_tree.list_files_below(tmp_path)


def test_a_file_larger_than_the_limit_is_a_fatal_gap_and_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(workspace_tree.MAX_FILE_BYTES + 1)
    content = Tree(tmp_path, ["large.yaml"]).read_file("large.yaml")
    assert isinstance(content, Gap)
    assert content.is_fatal and content.reason.startswith("larger than 20 MB")


def test_a_file_is_read_once_in_a_run(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: 1\n")
    tree = Tree(tmp_path, ["a.yaml"])
    first = tree.read_file("a.yaml")
    (tmp_path / "a.yaml").write_text("a: 2\n")
    assert first == b"a: 1\n" == tree.read_file("a.yaml")
    assert tree.select_files(lambda file: True).read_file("a.yaml") == b"a: 1\n"


def test_a_file_that_was_deleted_during_the_run_is_a_fatal_gap(tmp_path: Path) -> None:
    assert Tree(tmp_path, ["gone.yaml"]).read_file("gone.yaml") == Gap(
        "gone.yaml", "cannot be read: No such file or directory", is_fatal=True
    )


def test_the_real_path_leads_through_links_of_folders_as_the_file_system_does(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x.yaml").write_text("")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "out").symlink_to("/")
    (tmp_path / "loop").symlink_to("loop")
    tree = Tree(tmp_path, ())
    paths = [
        "a/b/x.yaml",
        "link/b/x.yaml",
        "link/../a/b",
        "loop/b/x",
        "missing/b/x",
        "out/etc/x",
        "a/./b/x.yaml",
        "link",
    ]
    for path in (*paths, "", f"{'n' * 300}/x", "b/" * 2000 + "x"):
        real, root = (f"{os.path.realpath(one)}/" for one in (tmp_path / path, tmp_path))
        expected = real.removeprefix(root).rstrip("/") if real.startswith(root) else None
        assert tree.find_real_path(path) == expected, path


def test_a_path_that_cannot_exist_is_no_file_and_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.yaml").write_text("")
    tree = Tree(tmp_path, ())
    assert tree.is_folder("a") and tree.is_file("a/x.yaml")
    for path in ("n" * 300, f"a/{'n' * 300}/x", "b/" * 2000 + "x", "a/x.yaml/y", "a/\0"):
        assert not tree.is_folder(path) and not tree.is_file(path)


def test_files_are_read_ahead_as_they_are_read_one_by_one(tmp_path: Path) -> None:
    sizes = (0, 1, 65_535, 65_536, 200_000)
    contents = {f"{size}.yaml": b"x" * size for size in sizes} | {"mark.yaml": "é: 1\n".encode("utf-16")}
    contents |= {os.fsdecode(b"latin-\xe9.yaml"): b"x: 1\n"} | {
        f"n{number}.yaml": b"%d" % number for number in range(70)
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    files = [*contents, "missing.yaml"]
    one_by_one, ahead = Tree(tmp_path, files), Tree(tmp_path, files)
    ahead.read_ahead(files, lambda part: read_files(str(tmp_path), part, 2))
    for name in contents:
        expected = one_by_one.read_file(name)
        if len(contents[name]) < 65_536 and name != "mark.yaml":
            # It is in memory.
            (tmp_path / name).unlink()
        assert ahead.read_file(name) == expected
    assert ahead.utf16_files == {"mark.yaml"}
    assert isinstance(ahead.read_file("missing.yaml"), Gap)


def test_reading_ahead_ends_where_the_memory_for_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace_tree, "CACHE_BYTES", 100)
    files = [f"n{number}.yaml" for number in range(70)]
    for name in files:
        (tmp_path / name).write_bytes(b"0123456789")
    tree, read = Tree(tmp_path, files), list[str]()

    def read_part(part: Sequence[str]) -> list[bytes | None]:
        read.extend(part)
        return read_files(str(tmp_path), part, 1)

    monkeypatch.setattr(workspace_tree, "READ_AHEAD_FILES", 20)
    tree.read_ahead(files, read_part)
    assert read == files[:20]
    assert [tree.read_file(name) for name in files] == [b"0123456789"] * 70
