"""Runs Git: with a time limit, without programs of the repository's own configuration, and with failure never silent.

Only the `git_...` modules of this package start Git.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gatekeeper.errors import ToolError, UsageError
from gatekeeper.host.process import run_command
from gatekeeper.named_tuple import NamedTuple

TIMEOUT_SECONDS = 60.0
NOT_A_REPOSITORY = "not a git repository"
# More than a digest or the name of a commit, a type and a size.
MAX_OBJECT_LINE = 1000


class NotARepositoryError(UsageError):
    """A folder is not in a Git repository."""


class GitResult(NamedTuple):
    """What a run of Git wrote, and its exit status."""

    exit_code: int
    output: bytes

    @property
    def text(self) -> str:
        """The output as text, without the space around it."""
        return self.output.decode("utf-8", "surrogateescape").strip()


def run_git(
    root: Path,
    *arguments: str,
    accept: Sequence[int] = (0,),
    stdin: bytes | None = None,
    index_file: Path | None = None,
    allow_network: bool = False,
) -> GitResult:
    """Runs Git in a folder.

    Args:
        accept: exit statuses that are answers; every other one is a failure.
        stdin: the input of the command.
        index_file: use this index instead of the usual one.

    Raises:
        NotARepositoryError: the folder is not in a Git repository.
        ToolError: Git cannot be started, took too long or failed; the message has Git's own words.
    """
    # A repository's own configuration must not start programs (fsmonitor, external diff).
    # A look at the files must not write the index, which a `git commit` that runs this as its hook holds open.
    guard = ("--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "--literal-pathspecs")
    # In a hook of `git commit -a` the index is not the usual file, and only this variable names it.
    named = str(index_file) if index_file else os.environ.get("GIT_INDEX_FILE")
    environment = {"GIT_INDEX_FILE": str(Path(named).absolute())} if named else {}
    code, out, error_output = run_command(
        ["git", "-C", root, *guard, *arguments],
        TIMEOUT_SECONDS,
        stdin=stdin,
        # The words of failures are compared below.
        environment={**environment, "LC_ALL": "C"},
        allow_network=allow_network,
        advice="look for another Git that holds a lock, or a slow disk",
    )
    if code in accept:
        return GitResult(code, out)
    if NOT_A_REPOSITORY in error_output.lower():
        raise NotARepositoryError(f"{root}: not in a Git repository; run `git init`, or name a folder of one")
    reason = (
        error_output.strip().removeprefix("fatal: ").removeprefix("error: ").partition("\n")[0] or f"exit status {code}"
    )
    raise ToolError(f"{root}: `git {arguments[0]}` failed: {reason}")


class GitObject(NamedTuple):
    """An object of Git: its digest, in hexadecimal, and its content."""

    digest: str
    content: bytes


def split_names(output: bytes) -> frozenset[str]:
    """The names in a list that Git wrote with NUL after each."""
    return frozenset(output.decode("utf-8", "surrogateescape").split("\0")) - {""}


def list_names(root: Path, *arguments: str) -> frozenset[str]:
    """Runs a Git command that lists names with NUL after each.

    Raises:
        NotARepositoryError: the folder is not in a Git repository.
        ToolError: Git failed.
    """
    return split_names(run_git(root, *arguments).output)


def read_object(root: Path, revision: str, file: str) -> bytes | None:
    """The content of a file in the index or in a commit; None if there is no such file.

    Args:
        revision: a commit, or an empty text for the index.
        file: relative to `root`.

    Raises:
        NotARepositoryError: the folder is not in a Git repository.
        ToolError: Git failed, or has the name of the file and not its content.
    """
    # `git show` fails alike for a missing name and for a broken repository, so the name is looked up first.
    listing = ("ls-tree", "-z", revision) if revision else ("ls-files", "-z", "--stage")
    for entry in run_git(root, *listing, "--", file).output.split(b"\0"):
        # "MODE OBJECT STAGE" in the index, "MODE TYPE OBJECT" in a commit; a folder or submodule is not a file.
        attributes, _, name = entry.partition(b"\t")
        if os.fsdecode(name) == os.path.normpath(file) and attributes.startswith((b"100", b"120")):
            blob = attributes.split()[2 if revision else 1].decode("ascii")
            return run_git(root, "cat-file", "blob", blob).output
    return None


def read_objects(root: Path, names: Sequence[str]) -> list[GitObject | None]:
    """Reads objects with one process; None for each that Git does not have.

    Args:
        names: digests, or names of commits; without line breaks.

    Raises:
        NotARepositoryError: the folder is not in a Git repository.
        ToolError: Git failed.
    """
    output = run_git(root, "cat-file", "--batch", stdin="".join(f"{name}\n" for name in names).encode()).output
    objects: list[GitObject | None] = []
    position = 0
    for _ in names:
        # "DIGEST TYPE SIZE", and the content in the next line; or "NAME missing".
        line, _, _ = output[position : position + MAX_OBJECT_LINE].partition(b"\n")
        words, position = line.split(b" "), position + len(line) + 1
        if words[-1] == b"missing":
            objects.append(None)
            continue
        end = position + int(words[2]) if len(words) == 3 and words[2].isdigit() else len(output)
        if output[end : end + 1] != b"\n":
            raise ToolError(f"{root}: `git cat-file` failed: its answer is not complete")
        objects.append(GitObject(words[0].decode("ascii"), output[position:end]))
        position = end + 1
    return objects
