"""The work tree and the index of a Git repository: which files they have, and how they differ from a commit."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gatekeeper.errors import ToolError, UsageError
from gatekeeper.host.background import BackgroundCall
from gatekeeper.host.git_command import NotARepositoryError, list_names, read_object, run_git


def list_files(root: Path, folder: Path) -> list[str] | None:
    """Tracked files and new files that are not ignored, relative to `root`; None if Git cannot list them.

    The caller then walks the folder, which finds more files and never fewer.
    """
    try:
        names = list_names(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", str(folder))
    except (NotARepositoryError, ToolError):
        return None
    return sorted(names)


def is_bare_repository(folder: Path) -> bool:
    """Whether a folder is a Git repository without a work tree: its files are Git's own."""
    return all((folder / name).is_dir() for name in ("objects", "refs")) and (folder / "HEAD").is_file()


def get_origin_url(root: Path) -> str:
    """The URL of the remote `origin`, as a suggestion; empty if there is none, or if Git fails."""
    try:
        return run_git(root, "remote", "get-url", "origin").text if root.is_dir() else ""
    except (NotARepositoryError, ToolError):
        return ""


def get_version(root: Path) -> str:
    """The line with which Git names its version; empty if Git cannot be run."""
    try:
        return run_git(root, "--version").text
    except ToolError:
        return ""


def describe_revision(root: Path) -> str | None:
    """The commit that is checked out, with `-dirty` if the work tree differs from it.

    None outside of Git, before the first commit, and if Git fails: it is a name for people, and decides nothing.
    """
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return None
    try:
        return run_git(root, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*").text
    except (NotARepositoryError, ToolError):
        return None


def get_head_commit(root: Path) -> str:
    """The last commit; empty if there is none yet.

    Raises:
        NotARepositoryError: the folder is not in a Git repository.
        ToolError: Git failed.
    """
    return run_git(root, "rev-parse", "--verify", "--quiet", "HEAD", accept=(0, 1)).text


def get_branch(root: Path) -> str:
    """The branch that is checked out; empty if there is none.

    Raises:
        NotARepositoryError: the folder is not in a Git repository.
        ToolError: Git failed.
    """
    return run_git(root, "symbolic-ref", "--quiet", "--short", "HEAD", accept=(0, 1)).text


class WorkTreeState(NamedTuple):
    """A work tree as Git sees it: its index with digests, and names that differ from it, are new, or are ignored."""

    listing: bytes
    changed_files: frozenset[str]
    new_files: frozenset[str]
    ignored_files: frozenset[str]

    @property
    def is_equal_to_index(self) -> bool:
        """Whether the work tree has the files of the index and no others, except folders that Git ignores."""
        if self.changed_files or self.new_files:
            return False
        # Ignored files in a separate folder (a virtual environment) are not read; elsewhere kustomize might read them.
        folders = {line.partition(b"\t")[2].split(b"/")[0] for line in self.listing.split(b"\0")}
        paths = [os.fsencode(file).split(b"/") for file in self.ignored_files]
        return all(len(parts) > 1 and parts[0] not in folders for parts in paths)


def read_state(root: Path) -> WorkTreeState | None:
    """The state of a repository; None if Git fails, or if it does not look at the changes of some files."""
    try:
        index = run_git(root, "ls-files", "-z", "--stage", "-v").output
        # `h` and `S` mark files whose changes Git ignores (assume-unchanged, skip-worktree); `M` a conflict.
        if any(not line.startswith(b"H ") for line in index.split(b"\0") if line):
            return None
        questions = (
            ("diff-files", "-z", "--name-only", "--relative"),
            ("ls-files", "-z", "--others", "--exclude-standard"),
            ("ls-files", "-z", "--others", "--ignored", "--exclude-standard"),
        )
        calls = [BackgroundCall(partial(list_names, root, *words)) for words in questions]
        changed, new, ignored = [call.wait_for_result() for call in calls]
    except (NotARepositoryError, ToolError):
        return None
    return WorkTreeState(index, changed, new, ignored)


def list_staged_files(root: Path) -> frozenset[str]:
    """The files that the next commit changes, relative to `root`.

    Raises:
        UsageError: there is no Git repository, or its index has conflicts.
        ToolError: Git failed.
    """
    conflicts = list_names(root, "diff", "--name-only", "--diff-filter=U", "-z", "--relative")
    if conflicts:
        raise UsageError(f"{min(conflicts)}: has conflicts in the index; resolve and add it, then try again")
    return list_names(root, "diff", "--cached", "--name-only", "--no-renames", "-z", "--relative")


def list_changed_files(root: Path, commit: str) -> frozenset[str]:
    """The files that differ from a commit, and new files that are not ignored.

    Raises:
        UsageError: there is no Git repository.
        ToolError: Git failed.
    """
    changed = list_names(root, "diff", "--name-only", "--no-renames", "-z", "--relative", commit)
    return changed | list_names(root, "ls-files", "-z", "--others", "--exclude-standard")


def read_staged_file(root: Path, file: str) -> bytes | None:
    """The content of a file in the index; None if the index has no such file.

    Raises:
        NotARepositoryError: the folder is not in a Git repository.
        ToolError: Git failed.
    """
    return read_object(root, "", file)


def is_tracked(file: Path) -> bool:
    """Whether a file is in the index; False outside of Git.

    Raises:
        ToolError: Git failed.
    """
    try:
        return bool(list_names(file.absolute().parent, "ls-files", "-z", "--", file.name))
    except NotARepositoryError:
        return False


def untrack_file(file: Path) -> None:
    """Removes a file from the index, and leaves it on the disk.

    Raises:
        NotARepositoryError: the folder is not in a Git repository.
        ToolError: Git failed.
    """
    run_git(file.absolute().parent, "rm", "--cached", "--force", "--quiet", "--", file.name)


def add_file(file: Path) -> None:
    """Adds a file to the index.

    Raises:
        NotARepositoryError: the folder is not in a Git repository.
        ToolError: Git failed.
    """
    run_git(file.absolute().parent, "add", "--", file.name)
