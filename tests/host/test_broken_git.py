"""`check` in Git repositories that are damaged, incomplete or unusual: checked, or refused with one clear message."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Repository, command
from tests.gate.test_pipeline import GOOD

WRONG = GOOD.replace("\ndata:", "\ndta:").replace("name: a", "name: b")


def git(folder: Path, *arguments: str) -> str:
    """The output of a Git command."""
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "protocol.file.allow=always")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def remove_object(root: Path, name: str) -> None:
    digest = git(root, "rev-parse", name)
    (root / ".git" / "objects" / digest[:2] / digest[2:]).unlink()


def clone(root: Path, *arguments: str) -> Path:
    git(root.parent, "clone", "-q", *arguments, root.as_uri(), "clone")
    return root.parent / "clone"


def clone_shallow(root: Path) -> Path:
    git(root, "commit", "-qm", "wrong")
    (root / "c.yaml").write_text(GOOD.replace("name: a", "name: c"))
    git(root, "add", ".")
    git(root, "commit", "-qm", "more")
    return clone(root, "--depth", "1")


def add_work_tree(root: Path) -> Path:
    git(root, "worktree", "add", "-q", "../tree")
    return root.parent / "tree"


def orphan_work_tree(root: Path) -> Path:
    (add_work_tree(root) / "b.yaml").write_text(WRONG)
    (root / ".git" / "worktrees").rename(root / "away")
    return root.parent / "tree"


def forget_commits(root: Path) -> None:
    (root / ".git" / "refs" / "heads" / "main").unlink()


# What is done to a repository with a commit and a staged file that is wrong; options; exit status; words.
CASES: dict[str, tuple[Callable[[Path], object], list[str], int, str]] = {
    "locked index": (lambda root: (root / ".git/index.lock").touch(), ["--staged"], 1, "unknown field `dta`"),
    "corrupt index, staged": (
        lambda root: (root / ".git/index").write_bytes(b"x"),
        ["--staged"],
        3,
        "`git ls-files` failed",
    ),
    "corrupt index": (lambda root: (root / ".git/index").write_bytes(b"x"), [], 1, "unknown field `dta`"),
    "corrupt config": (lambda root: (root / ".git/config").write_text("[x"), ["--staged"], 3, "bad config line"),
    "corrupt HEAD": (lambda root: (root / ".git/HEAD").write_text("x"), ["--staged"], 2, "not in a Git repository"),
    "no commits, staged": (forget_commits, ["--staged"], 1, "unknown field `dta`"),
    "no commits": (forget_commits, ["--since", "HEAD"], 2, "--since HEAD: commit not found in this clone; fetch it"),
    "missing tree": (lambda root: remove_object(root, "HEAD^{tree}"), ["--staged"], 3, "`git diff` failed: bad tree"),
    "missing tree, all": (lambda root: remove_object(root, "HEAD^{tree}"), [], 1, "unknown field `dta`"),
    "detached": (lambda root: git(root, "checkout", "-q", "--detach"), ["--staged"], 1, "unknown field `dta`"),
    "bare": (lambda root: clone(root, "--bare"), [], 2, "a bare Git repository, which has no files to check; clone it"),
    "shallow": (clone_shallow, ["--since", "HEAD~1"], 2, "--since HEAD~1: commit not found in this clone; fetch it"),
    "shallow, all": (clone_shallow, [], 1, "unknown field `dta`"),
    "work tree": (add_work_tree, ["--staged"], 0, "accepted"),
    "work tree without its repository": (orphan_work_tree, ["--staged"], 2, "not in a Git repository; run `git init`"),
    "work tree without its repository, all": (orphan_work_tree, [], 1, "unknown field `dta`"),
    "no repository": (
        lambda root: (root / ".git").rename(root / "git"),
        ["--since", "HEAD"],
        2,
        "not in a Git repository",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_damaged_repository_is_checked_or_refused(repository: Repository, case: str) -> None:
    change, options, status, words = CASES[case]
    root = repository({"a.yaml": GOOD})
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-qm", "good")
    (root / "b.yaml").write_text(WRONG)
    git(root, "add", ".")
    folder = change(root)
    code, out, err = command("check", *options, cwd=folder if isinstance(folder, Path) and folder.is_dir() else root)
    assert code == status, out + err
    assert words in out + err
    assert "Traceback" not in err and "internal error" not in err
