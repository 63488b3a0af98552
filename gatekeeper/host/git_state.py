"""The work tree and the index of a Git repository: which files they have, and how they differ from a commit."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from gatekeeper.errors import ToolError, UsageError
from gatekeeper.host import git_blobs
from gatekeeper.host.background import BackgroundCall
from gatekeeper.host.git_command import NotARepositoryError, list_names, read_object, read_objects, run_git
from gatekeeper.named_tuple import NamedTuple

REVISION_LENGTH = 40
LIST_INDEX = ("ls-files", "-z", "--stage", "-v")
LIST_CHANGES = ("diff-files", "-z", "--name-only", "--relative")
LIST_NEW_FILES = ("ls-files", "-z", "--others", "--exclude-standard")
# What the lists of changes, new and ignored files have, and the commit, with one look at each file.
STATUS = ("status", "--porcelain=v2", "-z", "--branch", "--no-renames", "--ignore-submodules=none")
SHOW_STATUS = (*STATUS, "-uall", "--ignored=traditional", "--", ".")
LIST_IGNORED_FILES = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard")


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


class StagedState(NamedTuple):
    """The index of Git, which the next commit is made of.

    Attributes:
        listing: each file, with its mode and the digest of its content, as Git lists them.
        head_commit: the last commit; empty if there is none yet.
        changed_files: the files that the next commit changes, relative to the root.
        contents: the contents of some of the files.
    """

    listing: bytes
    head_commit: str
    changed_files: frozenset[str]
    contents: Mapping[str, bytes]


def describe_revision(root: Path, staged: StagedState | None = None) -> str | None:
    """The commit that is checked out, with `-dirty` if the work tree differs from it.

    None outside of Git, before the first commit, and if Git fails: it is a name for people, and decides nothing.

    Args:
        staged: the index, if it is known: with staged changes, Git need not compare the work tree.
    """
    if staged is not None and staged.head_commit and staged.changed_files:
        return f"{staged.head_commit[:REVISION_LENGTH]}-dirty"
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return None
    try:
        return run_git(root, "describe", "--always", f"--abbrev={REVISION_LENGTH}", "--dirty", "--exclude=*").text
    except (NotARepositoryError, ToolError):
        return None


def get_branch(root: Path) -> str:
    """The branch that is checked out; empty if there is none.

    Raises:
        NotARepositoryError: the folder is not in a Git repository.
        ToolError: Git failed.
    """
    return run_git(root, "symbolic-ref", "--quiet", "--short", "HEAD", accept=(0, 1)).text


class WorkTreeState(NamedTuple):
    """A work tree as Git sees it: its index with digests, names that differ, are new, or ignored, and its revision."""

    listing: bytes
    changed_files: frozenset[str]
    new_files: frozenset[str]
    ignored_files: frozenset[str]
    revision: str | None = None

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
        status = BackgroundCall(partial(run_git, root, *SHOW_STATUS))
        index = run_git(root, *LIST_INDEX).output
        # Git writes names from the folder that has `.git` on.
        is_whole = (root / ".git").exists()
        prefix = b"" if is_whole else run_git(root, "rev-parse", "--show-prefix").output.removesuffix(b"\n")
        records = status.wait_for_result().output.split(b"\0")
    except (NotARepositoryError, ToolError):
        return None
    return None if _list_unusual_entries(index) else _parse_status(records, index, prefix)


def _parse_status(records: Iterable[bytes], index: bytes, prefix: bytes) -> WorkTreeState:
    """The state from the records of `git status`.

    Source: git-status(1), "Porcelain Format Version 2".
    """
    names: dict[bytes, set[str]] = {kind: set() for kind in (b"1", b"u", b"?", b"!")}
    commit, is_dirty = "", False
    for record in records:
        kind, _, rest = record.partition(b" ")
        if record.startswith(b"# branch.oid "):
            commit = rest.partition(b" ")[2].decode("ascii")
        elif kind in names:
            is_tracked_file = kind in (b"1", b"u")
            # New files in a submodule are a change of the files here, but not of a revision.
            is_dirty = is_dirty or (is_tracked_file and not rest.startswith(b".M S..U "))
            # The second letter is about the work tree; a dot is "unchanged".
            if not is_tracked_file or rest[1:2] != b".":
                name = rest.split(b" ", {b"1": 7, b"u": 9}.get(kind, 0))[-1]
                names[kind].add(os.fsdecode(name.removeprefix(prefix)))
    has_commit = bool(commit) and not commit.startswith("(")
    revision = f"{commit[:REVISION_LENGTH]}{'-dirty' if is_dirty else ''}" if has_commit else None
    changed = frozenset(names[b"1"] | names[b"u"])
    return WorkTreeState(index, changed, frozenset(names[b"?"]), frozenset(names[b"!"]), revision)


def _list_unusual_entries(listing: bytes) -> list[bytes]:
    """The entries whose changes Git ignores (`h` and `S`: assume-unchanged, skip-worktree) or that conflict (`M`)."""
    # Most often there are none, which counting finds in a tenth of the time.
    if (b"\0" + listing).count(b"\0H ") == listing.count(b"\0"):
        return []
    return [entry for entry in listing.split(b"\0") if entry and not entry.startswith(b"H ")]


def read_staged(root: Path, files: Sequence[str] = ()) -> StagedState:
    """Reads the index with few processes: a commit hook waits for each of them.

    Args:
        files: the files whose contents to read.

    Raises:
        UsageError: there is no Git repository, or its index has conflicts.
        ToolError: Git failed.
    """
    changes = ("diff", "--cached", "--name-only", "--no-renames", "-z", "--relative")
    changed = BackgroundCall(partial(list_names, root, *changes))
    listing = run_git(root, *LIST_INDEX).output
    # An entry is "TAG MODE OBJECT STAGE", a tab, and the name; the stage is 0 without a conflict.
    unusual = [entry.partition(b"\t") for entry in _list_unusual_entries(listing)]
    conflicts = [os.fsdecode(name) for attributes, _, name in unusual if not attributes.endswith(b" 0")]
    if conflicts:
        raise UsageError(f"{min(conflicts)}: has conflicts in the index; resolve and add it, then try again")
    blobs = {file: blob for file in files if (blob := _find_blob(listing, file))}
    head, *found = read_objects(root, ["HEAD", *blobs.values()])
    contents = {}
    for file, read in zip(blobs, found, strict=True):
        if read is None:
            raise ToolError(f"{root}: `git cat-file` failed: the content of {file} is missing; run `git fsck`")
        contents[file] = read.content
    return StagedState(listing, head.digest if head else "", changed.wait_for_result(), contents)


def _find_blob(listing: bytes, file: str) -> str:
    """The digest of a file, or of the target of a symbolic link, in a listing; empty if it has no such file."""
    end = b"\t" + os.fsencode(file) + b"\0"
    position = listing.find(end)
    while position >= 0:
        attributes = listing[listing.rfind(b"\0", 0, position) + 1 : position]
        # With a tab, this is the end of a longer name.
        if b"\t" not in attributes:
            _, mode, blob, _ = attributes.split(b" ")
            return blob.decode("ascii") if mode.startswith((b"100", b"120")) else ""
        position = listing.find(end, position + 1)
    return ""


def describe_staged(root: Path, staged: StagedState) -> WorkTreeState | None:
    """The state of a work tree that has the files of the index; None in the cases of `read_state`."""
    if _list_unusual_entries(staged.listing):
        return None
    try:
        ignored = list_names(root, *LIST_IGNORED_FILES)
    except (NotARepositoryError, ToolError):
        return None
    return WorkTreeState(staged.listing, frozenset(), frozenset(), ignored)


def has_unstaged_files(root: Path, paths: Iterable[str], listing: bytes = b"") -> bool:
    """Whether a file of the work tree differs from the index, or is not in it; ignored files count.

    Args:
        paths: the files and folders to compare; those outside of `root` are not compared, and what is reached through
            a symbolic link counts as different.
        listing: the index, if it is known: most often nothing else is needed.

    Raises:
        NotARepositoryError: the folder is not in a Git repository.
        ToolError: Git failed.
    """
    names = {posixpath.normpath(path) for path in paths if path}
    inner = sorted(name for name in names if not name.startswith(("/", "../")) and name != "..")
    if not inner:
        return False
    # The index has no file behind a symbolic link: what the link leads to would not be compared.
    start = os.path.realpath(root)
    if any(os.path.realpath(f"{start}/{name}") != posixpath.normpath(f"{start}/{name}") for name in inner):
        return True
    if listing and git_blobs.has_equal_files(root, inner, listing):
        return False
    questions = (LIST_CHANGES, ("ls-files", "-z", "--others"))
    return any(list_names(root, *words, "--", *inner) for words in questions)


def list_changed_files(root: Path, commit: str) -> frozenset[str]:
    """The files that differ from a commit, and new files that are not ignored.

    Raises:
        UsageError: there is no Git repository.
        ToolError: Git failed.
    """
    changed = list_names(root, "diff", "--name-only", "--no-renames", "-z", "--relative", commit)
    return changed | list_names(root, *LIST_NEW_FILES)


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
