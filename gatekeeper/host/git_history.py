"""The commits of a Git repository: what they contain, which changed a file, and how old each line is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gatekeeper.errors import ToolError, UsageError
from gatekeeper.host.git_command import NotARepositoryError, list_names, read_object, run_git
from gatekeeper.named_tuple import NamedTuple


class Commit(NamedTuple):
    """A commit: its hash, and its author date (`2027-01-31`)."""

    sha: str
    date: str


def read_file_at_commit(root: Path, commit: str, file: str) -> bytes | None:
    """The content of a file in a commit; None if the commit has no such file.

    Raises:
        NotARepositoryError: the folder is not in a Git repository.
        ToolError: there is no such commit, or Git failed.
    """
    return read_object(root, commit, file)


def read_line_times(root: Path, file: str) -> dict[int, int]:
    """When each committed line of a file was last changed, in seconds since 1970.

    Empty if Git does not know the file or fails: an age is shown to people, and decides nothing.
    """
    try:
        output = run_git(root, "blame", "--porcelain", "--", file).output
    except (NotARepositoryError, ToolError):
        return {}
    times: dict[bytes, int] = {}
    lines: dict[int, bytes] = {}
    commit = b""
    for line in output.splitlines():
        words = line.split(b" ")
        if len(words) in (3, 4) and len(words[0]) == 40 and words[1].isdigit() and words[2].isdigit():
            commit = words[0]
            lines[int(words[2])] = commit
        elif line.startswith(b"committer-time "):
            times[commit] = int(words[1])
    # The hash of lines that are not committed yet is all zeros.
    return {number: times[name] for number, name in lines.items() if name in times and name.strip(b"0")}


def find_merge_base(root: Path, revision: str) -> str:
    """The last commit that HEAD and a revision have in common.

    Raises:
        UsageError: there is no such revision, or no common commit.
        ToolError: Git failed.
    """
    if revision.startswith("-"):
        raise UsageError(f"--since {revision}: not a revision; name a commit, branch or tag")
    verified = run_git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", accept=(0, 1, 128))
    if verified.exit_code != 0:
        # Outside of a repository this fails with its own message.
        run_git(root, "rev-parse", "--git-dir")
        raise UsageError(f"--since {revision}: commit not found in this clone; fetch it, or correct the name")
    base = run_git(root, "merge-base", revision, "HEAD", accept=(0, 1))
    if base.exit_code != 0:
        raise UsageError(f"--since {revision}: no commit in common with HEAD; fetch more history (--unshallow)")
    return base.text


def list_renames(root: Path, commit: str) -> dict[str, str]:
    """Files that moved since a commit: the old name of each new one.

    Raises:
        NotARepositoryError: the folder is not in a Git repository.
        ToolError: Git failed.
    """
    arguments = ("--find-renames", "--diff-filter=R", "--name-status", "-z", "--relative", commit)
    words = run_git(root, "diff", *arguments).output.decode("utf-8", "surrogateescape").split("\0")
    return {new: old for _, old, new in zip(words[::3], words[1::3], words[2::3], strict=False)}


def find_ever_tracked(folder: Path, names: Sequence[str]) -> frozenset[str]:
    """Those of some files in a folder that are in the index, or were in any commit; empty outside of Git.

    Raises:
        ToolError: Git failed.
    """
    if not any((above / ".git").exists() for above in (folder, *folder.parents)):
        return frozenset()
    indexed = list_names(folder, "ls-files", "-z", "--", *names)
    return indexed | list_names(folder, "log", "--all", "--format=", "-z", "--name-only", "--relative", "--", *names)


def list_file_commits(file: Path) -> list[Commit]:
    """The commits of all branches that changed a file, oldest first; empty if no commit has it.

    Raises:
        NotARepositoryError: the folder is not in a Git repository.
        ToolError: Git failed.
    """
    result = run_git(file.absolute().parent, "log", "--all", "--reverse", "--format=%H %as", "--", file.name)
    return [Commit(*line.split(" ", 1)) for line in result.text.splitlines()]
