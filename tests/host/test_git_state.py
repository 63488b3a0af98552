"""What Git says of a work tree and its index."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gatekeeper.errors import ToolError, UsageError
from gatekeeper.host import git_state
from gatekeeper.host.git_command import list_names
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
    assert (git_state.read_staged(tmp_path).head_commit, git_state.get_branch(tmp_path)) == ("", "main")
    assert git_state.describe_revision(tmp_path) is None
    commit = run_git(commit_files(tmp_path, {"a.txt": "a"}), "rev-parse", "HEAD").strip()
    run_git(tmp_path, "checkout", "--quiet", "--detach")
    assert (git_state.read_staged(tmp_path).head_commit, git_state.get_branch(tmp_path)) == (commit, "")


def test_a_changed_work_tree_is_described_as_dirty(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "a"})
    commit = git_state.read_staged(root).head_commit
    assert git_state.describe_revision(root) == commit
    (root / "a.txt").write_text("b")
    assert git_state.describe_revision(root) == f"{commit}-dirty"
    assert git_state.describe_revision(root, git_state.read_staged(root)) == f"{commit}-dirty"
    run_git(root, "add", ".")
    staged = git_state.read_staged(root)
    assert staged.changed_files == {"a.txt"}
    assert git_state.describe_revision(root, staged) == git_state.describe_revision(root) == f"{commit}-dirty"


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


def build_odd_repository(root: Path) -> Path:
    """A work tree with every kind of difference from its index, in a repository with a submodule."""
    inner = commit_files(root / "inner", {"i.yaml": "i"})
    outer = root / "outer"
    names = ("edited", "deleted", "retyped", "staged", "both", "ignored.tmp", "sub/edited", "sub/same", " odd\tname ")
    commit_files(outer, dict.fromkeys(names, "old") | {"mode": "m", "sub/.gitignore": "*.tmp\nfolder/\n"})
    for clone in ("module", "moved"):
        run_git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), clone)
    run_git(outer, "commit", "--quiet", "-m", "modules")
    for name in ("staged", "both"):
        (outer / name).write_text("new")
    run_git(outer, "add", ".")
    (outer / ".gitignore").write_text("*.tmp\n/build/\nnested/\n")
    for name in ("edited", "both", "ignored.tmp", "sub/edited", "sub/new", "sub/x.tmp", "new", "n\u00e4w", "planned"):
        (outer / name).write_text("changed")
    for name in ("build/a/b", "sub/folder/c", "nested/d", "module/i.yaml", "fresh/e", "moved/new.yaml"):
        (outer / name).parent.mkdir(parents=True, exist_ok=True)
        (outer / name).write_text("changed")
    (outer / os.fsdecode(b"\xff.yaml")).write_text("not UTF-8")
    (outer / " odd\tname ").write_text("changed")
    (outer / "mode").chmod(0o755)
    for name in ("deleted", "retyped"):
        (outer / name).unlink()
    (outer / "retyped").symlink_to("edited")
    commit_files(outer / "nested-repository", {"k": "k"})
    run_git(outer, "add", "--intent-to-add", "planned")
    return outer


@pytest.mark.parametrize("folder", [".", "sub"])
def test_state_has_what_the_single_lists_of_git_have(tmp_path: Path, folder: str) -> None:
    root = build_odd_repository(tmp_path) / folder
    state = read_state(root)
    lists = (git_state.LIST_CHANGES, git_state.LIST_NEW_FILES, git_state.LIST_IGNORED_FILES)
    changed, new, ignored = (list_names(root, *one) for one in lists)
    # These lists do not look for new files in submodules.
    assert state.changed_files == changed | ({"moved"} if folder == "." else set())
    assert (state.new_files, state.ignored_files) == (new, ignored)
    assert state.revision == git_state.describe_revision(root)
    assert state.revision is not None and state.revision.endswith("-dirty")


def test_state_of_a_clean_work_tree_has_its_commit(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "a", ".gitignore": "*.tmp\n"})
    (root / "x.tmp").write_text("ignored")
    (root / "new").write_text("not in the index")
    assert read_state(root).revision == git_state.describe_revision(root) == run_git(root, "rev-parse", "HEAD").strip()


def test_new_files_in_a_submodule_change_the_state_and_not_the_revision(tmp_path: Path) -> None:
    inner, outer = commit_files(tmp_path / "inner", {"i": "i"}), commit_files(tmp_path / "outer", {"o": "o"})
    run_git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "module")
    run_git(outer, "commit", "--quiet", "-m", "module")
    (outer / "module" / "new.yaml").write_text("new")
    state = read_state(outer)
    assert state.changed_files == {"module"}
    assert state.revision == git_state.describe_revision(outer) == run_git(outer, "rev-parse", "HEAD").strip()


def test_state_before_the_first_commit_has_no_revision(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "--quiet")
    (tmp_path / "a").write_text("a")
    run_git(tmp_path, "add", ".")
    (tmp_path / "a").write_text("b")
    assert read_state(tmp_path).revision is None and read_state(tmp_path).changed_files == {"a"}


def test_looking_at_files_leaves_the_index_as_it_is(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "a"})
    os.utime(root / "a.txt", (1, 1))
    before = (root / ".git" / "index").read_bytes()
    assert read_state(root).changed_files == frozenset()
    assert (root / ".git" / "index").read_bytes() == before


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
        git_state.read_staged(root)


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


def test_staged_contents_are_those_of_the_index_with_names_read_literally(tmp_path: Path) -> None:
    files = {"a.txt": "first\n", "x\ta.txt": "other", "sub/a.txt": "below", "empty": "", "same": "first\n", "*": "star"}
    root = commit_files(tmp_path, files)
    (root / "a.txt").write_text("second\n\n")
    (root / "link").symlink_to("a.txt")
    run_git(root, "add", ".")
    (root / "a.txt").write_text("third")
    staged = git_state.read_staged(root, [*files, "link", "sub", "missing"])
    expected = {name: text.encode() for name, text in files.items()} | {"a.txt": b"second\n\n", "link": b"a.txt"}
    assert staged.contents == expected
    assert staged.contents == {name: git_state.read_staged_file(root, name) for name in expected}
    assert staged.changed_files == {"a.txt", "link"}
    assert git_state.read_staged(root / "sub", ["a.txt"]).contents == {"a.txt": b"below"}


def test_a_staged_file_whose_content_is_lost_is_an_error(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "a"})
    blob = run_git(root, "rev-parse", "HEAD:a.txt").strip()
    (root / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(ToolError, match=r"the content of a\.txt is missing"):
        git_state.read_staged(root, ["a.txt"])
    assert git_state.read_staged(root).contents == {}


def test_the_state_of_the_index_has_its_files_and_the_ignored_ones(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "a", ".gitignore": "*.tmp\n"})
    for file in ("a.txt", "new.txt", "x.tmp"):
        (root / file).write_text("changed")
    state = git_state.describe_staged(root, git_state.read_staged(root))
    expected = read_state(root)._replace(changed_files=frozenset(), new_files=frozenset(), revision=None)
    assert state is not None and state == expected
    run_git(root, "update-index", "--skip-worktree", "a.txt")
    assert git_state.describe_staged(root, git_state.read_staged(root)) is None


@pytest.mark.parametrize("change", ["edit", "delete", "add", "ignore", "retype"])
def test_every_difference_from_the_index_below_a_path_is_found(tmp_path: Path, change: str) -> None:
    root = commit_files(tmp_path, {"rules/a.txt": "a", "apps/a.txt": "a", ".gitignore": "*.tmp\n"})
    paths = ["rules/", "missing", "../outside", "/", ""]
    listing = git_state.read_staged(root).listing
    assert not git_state.has_unstaged_files(root, paths) and not git_state.has_unstaged_files(root, paths, listing)
    assert not git_state.has_unstaged_files(root, ["../outside", "/"])
    for folder in ("apps", "rules"):
        assert not git_state.has_unstaged_files(root, paths)
        file = root / folder / "a.txt"
        if change == "edit":
            file.write_text("b")
        elif change == "add":
            (root / folder / "new.txt").write_text("")
        elif change == "ignore":
            (root / folder / "x.tmp").write_text("")
        else:
            file.unlink()
            if change == "retype":
                file.symlink_to("b")
    assert git_state.has_unstaged_files(root, paths) and git_state.has_unstaged_files(root, paths, listing)
    assert git_state.has_unstaged_files(root, ["."]) and git_state.has_unstaged_files(root, ["."], listing)


def test_what_is_reached_through_a_symbolic_link_counts_as_different_from_the_index(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"real/a.txt": "a"})
    (root / "link").symlink_to("real")
    run_git(root, "add", ".")
    assert not git_state.has_unstaged_files(root, ["real"])
    assert not git_state.has_unstaged_files(root, ["."])
    assert git_state.has_unstaged_files(root, ["link"]) and git_state.has_unstaged_files(root, ["link/a.txt"])


def test_a_symbolic_link_to_itself_is_compared_like_a_file(tmp_path: Path) -> None:
    root = commit_files(tmp_path, {"a.txt": "a"})
    (root / "loop").symlink_to("loop")
    assert git_state.has_unstaged_files(root, ["loop"])
    run_git(root, "add", ".")
    assert not git_state.has_unstaged_files(root, ["loop"])
