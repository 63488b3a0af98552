"""The only door to Git: which files a repository has, what changed in it, and at which revision it stands."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from gatekeeper.errors import ToolError, UsageError
from gatekeeper.host.process import run_command

TIMEOUT_SECONDS = 60.0


def list_files(root: Path, folder: Path) -> list[str] | None:
    """Tracked and new, not ignored files below a folder, relative to `root`; None where Git does not answer."""
    listed = _run_git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", str(folder))
    if listed is None:
        return None
    return sorted(set(listed.decode("utf-8", "surrogateescape").split("\0")) - {""})


def get_origin_url(root: Path) -> str:
    """The URL of the remote `origin`; empty where there is none."""
    found = _run_git(root, "remote", "get-url", "origin") if root.is_dir() else None
    return (found or b"").decode("utf-8", "replace").strip()


def get_version(root: Path) -> str:
    """What Git says of itself; empty where there is none."""
    return (_run_git(root, "--version") or b"").decode("utf-8", "replace").strip()


def describe_revision(root: Path) -> str | None:
    """The commit that is checked out, with `-dirty` where the work tree differs from it; None outside of Git."""
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return None
    found = _run_git(root, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")
    return found.decode("ascii", "replace").strip() if found is not None else None


def get_head_commit(root: Path) -> str:
    """The last commit; empty where there is none."""
    return (_run_git(root, "rev-parse", "--verify", "--quiet", "HEAD") or b"").decode("ascii", "replace").strip()


def get_branch(root: Path) -> str:
    """The branch that is checked out; empty where there is none."""
    return (_run_git(root, "symbolic-ref", "--quiet", "--short", "HEAD") or b"").decode("utf-8", "replace").strip()


class WorkTreeState(NamedTuple):
    """A work tree as Git sees it: its index with digests, and names that differ from it, are new, or are ignored."""

    listing: bytes
    changed_files: frozenset[str]
    new_files: frozenset[str]
    ignored_files: frozenset[str]


def read_state(root: Path) -> WorkTreeState | None:
    """How a repository stands; None where Git does not answer, or was told to look away from some files."""
    index = _run_git(root, "ls-files", "-z", "--stage", "-v")
    # `h` and `S` mark files whose changes Git does not look at (assume-unchanged, skip-worktree); `M` a conflict.
    if index is None or any(not line.startswith(b"H ") for line in index.split(b"\0") if line):
        return None
    questions = (
        ("diff-files", "-z", "--name-only", "--relative"),
        ("ls-files", "-z", "--others", "--exclude-standard"),
        ("ls-files", "-z", "--others", "--ignored", "--exclude-standard"),
    )
    with ThreadPoolExecutor(len(questions)) as pool:
        lists = list(pool.map(lambda words: _run_git(root, *words), questions))
    names = [_split_names(listed) for listed in lists if listed is not None]
    return WorkTreeState(index, names[0], names[1], names[2]) if len(names) == len(lists) else None


def list_staged_files(root: Path) -> frozenset[str]:
    """The files that the next commit changes, relative to `root`.

    Raises:
        UsageError: there is no Git repository, or its index has conflicts.
    """
    conflicts = _list_names(root, "diff", "--name-only", "--diff-filter=U", "-z", "--relative")
    if conflicts:
        raise UsageError(f"{min(conflicts)}: has conflicts in the index; resolve and add it, then try again")
    return _list_names(root, "diff", "--cached", "--name-only", "--no-renames", "-z", "--relative")


def list_changed_files(root: Path, commit: str) -> frozenset[str]:
    """The files that differ from a commit, with those that are new and not ignored.

    Raises:
        UsageError: there is no Git repository.
    """
    changed = _list_names(root, "diff", "--name-only", "--no-renames", "-z", "--relative", commit)
    return changed | _list_names(root, "ls-files", "-z", "--others", "--exclude-standard")


def is_equal_to_index(root: Path) -> bool:
    """Whether the work tree holds the files of the index and no others, but for ignored ones."""
    found = read_state(root)
    if found is None or found.changed_files or found.new_files:
        return False
    # What is ignored in a folder of its own (a virtual environment, a build) nobody reads; elsewhere kustomize might.
    folders = {line.partition(b"\t")[2].split(b"/")[0] for line in found.listing.split(b"\0")}
    tops = [os.fsencode(file).split(b"/") for file in found.ignored_files]
    return all(len(parts) > 1 and parts[0] not in folders for parts in tops)


def has_unstaged_changes(root: Path, files: Iterable[str]) -> bool:
    """Whether the work tree has another content of any of some files than the index."""
    return _run_git(root, "diff-files", "--quiet", "--", *sorted(files)) is None if files else False


def read_staged_file(root: Path, file: str) -> bytes | None:
    """A file as the index has it; None where it has none."""
    return _run_git(root, "show", f":./{file}")


def read_file_at_commit(root: Path, commit: str, file: str) -> bytes | None:
    """A file as a commit has it; None where it has none."""
    return _run_git(root, "show", f"{commit}:./{file}")


@contextmanager
def checkout_index(root: Path) -> Iterator[Path]:
    """A folder with the files of the index, as the next commit has them; it is gone afterwards.

    Raises:
        UsageError: there is no Git repository, or its index cannot be written out.
    """
    prefix = _run_git(root, "rev-parse", "--show-prefix")
    with tempfile.TemporaryDirectory(prefix="gatekeeper-index-") as scratch:
        folder = Path(scratch).resolve()
        if prefix is None or _run_git(root, "checkout-index", "--all", "--force", f"--prefix={folder}/") is None:
            raise UsageError(f"{root}: Git does not write out its index; is this a Git repository?")
        inner = folder / prefix.decode("utf-8", "surrogateescape").strip()
        inner.mkdir(parents=True, exist_ok=True)
        yield inner


def read_line_times(root: Path, file: str) -> dict[int, int]:
    """When each line of a file was last changed, in seconds since 1970; none where Git does not know the file.

    Lines that are not committed yet are left out.
    """
    out = _run_git(root, "blame", "--porcelain", "--", file)
    if out is None:
        return {}
    times: dict[bytes, int] = {}
    lines: dict[int, bytes] = {}
    commit = b""
    for line in out.splitlines():
        words = line.split(b" ")
        if len(words) in (3, 4) and len(words[0]) == 40 and words[1].isdigit() and words[2].isdigit():
            commit = words[0]
            lines[int(words[2])] = commit
        elif line.startswith(b"committer-time "):
            times[commit] = int(words[1])
    return {number: times[name] for number, name in lines.items() if name in times and name.strip(b"0")}


def find_merge_base(root: Path, revision: str) -> str:
    """The commit where HEAD and a revision parted.

    Raises:
        UsageError: there is no such revision, or no common commit.
    """
    if revision.startswith("-"):
        raise UsageError(f"--since {revision}: is no revision")
    if _run_git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") is None:
        raise UsageError(f"--since {revision}: there is no such commit here; fetch it, or correct the name")
    found = _run_git(root, "merge-base", revision, "HEAD")
    if found is None:
        raise UsageError(f"--since {revision}: no commit in common with HEAD; fetch more history (--unshallow)")
    return found.decode().strip()


def list_renames(root: Path, commit: str) -> dict[str, str]:
    """Files that moved since a commit: the old name of each new one."""
    out = (
        _run_git(root, "diff", "--find-renames", "--diff-filter=R", "--name-status", "-z", "--relative", commit) or b""
    )
    words = out.decode("utf-8", "surrogateescape").split("\0")
    return {new: old for _, old, new in zip(words[::3], words[1::3], words[2::3], strict=False)}


@contextmanager
def checkout_commit(root: Path, commit: str) -> Iterator[Path]:
    """A folder with the files of a commit; it is gone afterwards.

    Raises:
        UsageError: Git cannot write it out.
    """
    with tempfile.TemporaryDirectory(prefix="gatekeeper-commit-") as scratch:
        folder = Path(scratch).resolve()
        listing, files = folder / "index", folder / "files"
        done = [
            _run_git(root, "read-tree", f"--index-output={listing}", commit, index_file=folder / "new"),
            _run_git(root, "checkout-index", "--all", "--force", f"--prefix={files}/", index_file=listing),
        ]
        prefix = _run_git(root, "rev-parse", "--show-prefix")
        if None in done or prefix is None:
            raise UsageError(f"{root}: Git does not write out commit {commit}")
        inner = files / prefix.decode("utf-8", "surrogateescape").strip()
        inner.mkdir(parents=True, exist_ok=True)
        yield inner


class Commit(NamedTuple):
    """A commit: its hash, and the day it was made on."""

    sha: str
    date: str


def find_ever_tracked(folder: Path, names: Sequence[str]) -> frozenset[str]:
    """Those of some files in a folder that are in the index, or were in any commit."""
    if not any((above / ".git").exists() for above in (folder, *folder.parents)):
        return frozenset()
    questions = (
        ("ls-files", "-z", "--", *names),
        ("log", "--all", "--format=", "-z", "--name-only", "--relative", "--", *names),
    )
    return frozenset().union(*(_split_names(_run_git(folder, *words) or b"") for words in questions))


def list_file_commits(file: Path) -> list[Commit]:
    """The commits of all branches that changed a file, the first first; none where Git does not know it."""
    out = _run_git(file.absolute().parent, "log", "--all", "--reverse", "--format=%H %as", "--", file.name)
    lines = (out or b"").decode("ascii", "replace").splitlines()
    return [Commit(*line.split(" ", 1)) for line in lines]


def is_tracked(file: Path) -> bool:
    """Whether a file is in the index."""
    return _run_git(file.absolute().parent, "ls-files", "--error-unmatch", "--", file.name) is not None


def untrack_file(file: Path) -> bool:
    """Takes a file out of the index, and leaves it on the disk; whether that was done."""
    return _run_git(file.absolute().parent, "rm", "--cached", "--force", "--quiet", "--", file.name) is not None


def add_file(file: Path) -> bool:
    """Puts a file into the index; whether that was done."""
    return _run_git(file.absolute().parent, "add", "--", file.name) is not None


def archive_revision(repository: Path, revision: str) -> bytes | None:
    """The files of a revision as a tar archive; None where Git does not give it."""
    return None if revision.startswith("-") else _run_git(repository, "archive", "--format=tar", revision)


def fetch_archive(url: str, revision: str) -> bytes | None:
    """The files of a revision of a repository elsewhere, as a tar archive; None where it cannot be had."""
    if url.startswith("-") or revision.startswith("-"):
        return None
    with tempfile.TemporaryDirectory(prefix="gatekeeper-fetch-") as scratch:
        folder = Path(scratch)
        done = [
            _run_git(folder, "init", "--quiet", "--bare"),
            _run_git(folder, "fetch", "--quiet", "--depth=1", "--no-tags", url, revision, allow_network=True),
        ]
        return None if None in done else _run_git(folder, "archive", "--format=tar", "FETCH_HEAD")


def _list_names(root: Path, *arguments: str) -> frozenset[str]:
    out = _run_git(root, *arguments)
    if out is None:
        raise UsageError(f"{root}: Git does not answer `git {arguments[0]}`; is this a Git repository?")
    return _split_names(out)


def _split_names(output: bytes) -> frozenset[str]:
    return frozenset(output.decode("utf-8", "surrogateescape").split("\0")) - {""}


def _run_git(root: Path, *arguments: str, index_file: Path | None = None, allow_network: bool = False) -> bytes | None:
    # A repository's own configuration must not start programs (fsmonitor, external diff).
    guard = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
    # In a hook of `git commit -a` the index is another file than usual, and only this variable tells.
    named = str(index_file) if index_file else os.environ.get("GIT_INDEX_FILE")
    environment = {"GIT_INDEX_FILE": str(Path(named).absolute())} if named else {}
    try:
        code, out, _ = run_command(
            ["git", "-C", root, *guard, *arguments],
            TIMEOUT_SECONDS,
            environment=environment,
            allow_network=allow_network,
        )
    except ToolError:
        return None
    return out if code == 0 else None
