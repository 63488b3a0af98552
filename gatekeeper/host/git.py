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
from gatekeeper.host.process import run

SECONDS = 60.0


def files(root: Path, below: Path) -> list[str] | None:
    """Tracked and new, not ignored files below a folder, relative to `root`; None where Git does not answer."""
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", str(below))
    if listed is None:
        return None
    return sorted(set(listed.decode("utf-8", "surrogateescape").split("\0")) - {""})


def origin(root: Path) -> str:
    """The URL of the remote `origin`; empty where there is none."""
    found = _git(root, "remote", "get-url", "origin") if root.is_dir() else None
    return (found or b"").decode("utf-8", "replace").strip()


def version(root: Path) -> str:
    """What Git says of itself; empty where there is none."""
    return (_git(root, "--version") or b"").decode("utf-8", "replace").strip()


def revision(root: Path) -> str | None:
    """The commit that is checked out, with `-dirty` where the work tree differs from it; None outside of Git."""
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return None
    found = _git(root, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")
    return found.decode("ascii", "replace").strip() if found is not None else None


def head(root: Path) -> str:
    """The last commit; empty where there is none."""
    return (_git(root, "rev-parse", "--verify", "--quiet", "HEAD") or b"").decode("ascii", "replace").strip()


def branch(root: Path) -> str:
    """The branch that is checked out; empty where there is none."""
    return (_git(root, "symbolic-ref", "--quiet", "--short", "HEAD") or b"").decode("utf-8", "replace").strip()


class State(NamedTuple):
    """A work tree as Git sees it: its index with digests, and names that differ from it, are new, or are ignored."""

    listing: bytes
    changed: frozenset[str]
    new: frozenset[str]
    ignored: frozenset[str]


def state(root: Path) -> State | None:
    """How a repository stands; None where Git does not answer, or was told to look away from some files."""
    index = _git(root, "ls-files", "-z", "--stage", "-v")
    # `h` and `S` mark files whose changes Git does not look at (assume-unchanged, skip-worktree); `M` a conflict.
    if index is None or any(not line.startswith(b"H ") for line in index.split(b"\0") if line):
        return None
    questions = (
        ("diff-files", "-z", "--name-only", "--relative"),
        ("ls-files", "-z", "--others", "--exclude-standard"),
        ("ls-files", "-z", "--others", "--ignored", "--exclude-standard"),
    )
    with ThreadPoolExecutor(len(questions)) as pool:
        lists = list(pool.map(lambda words: _git(root, *words), questions))
    names = [_names(listed) for listed in lists if listed is not None]
    return State(index, names[0], names[1], names[2]) if len(names) == len(lists) else None


def staged(root: Path) -> frozenset[str]:
    """The files that the next commit changes, relative to `root`.

    Raises:
        UsageError: there is no Git repository, or its index has conflicts.
    """
    conflicts = _listed(root, "diff", "--name-only", "--diff-filter=U", "-z", "--relative")
    if conflicts:
        raise UsageError(f"{min(conflicts)}: has conflicts in the index; resolve and add it, then try again")
    return _listed(root, "diff", "--cached", "--name-only", "--no-renames", "-z", "--relative")


def since(root: Path, commit: str) -> frozenset[str]:
    """The files that differ from a commit, with those that are new and not ignored.

    Raises:
        UsageError: there is no Git repository.
    """
    changed = _listed(root, "diff", "--name-only", "--no-renames", "-z", "--relative", commit)
    return changed | _listed(root, "ls-files", "-z", "--others", "--exclude-standard")


def is_as_staged(root: Path) -> bool:
    """Whether the work tree holds the files of the index and no others, but for ignored ones."""
    found = state(root)
    if found is None or found.changed or found.new:
        return False
    # What is ignored in a folder of its own (a virtual environment, a build) nobody reads; elsewhere kustomize might.
    folders = {line.partition(b"\t")[2].split(b"/")[0] for line in found.listing.split(b"\0")}
    tops = [os.fsencode(file).split(b"/") for file in found.ignored]
    return all(len(parts) > 1 and parts[0] not in folders for parts in tops)


def differs(root: Path, files: Iterable[str]) -> bool:
    """Whether the work tree has another content of any of some files than the index."""
    return _git(root, "diff-files", "--quiet", "--", *sorted(files)) is None if files else False


def staged_file(root: Path, name: str) -> bytes | None:
    """A file as the index has it; None where it has none."""
    return _git(root, "show", f":./{name}")


def file_at(root: Path, commit: str, name: str) -> bytes | None:
    """A file as a commit has it; None where it has none."""
    return _git(root, "show", f"{commit}:./{name}")


@contextmanager
def index(root: Path) -> Iterator[Path]:
    """A folder with the files of the index, as the next commit has them; it is gone afterwards.

    Raises:
        UsageError: there is no Git repository, or its index cannot be written out.
    """
    prefix = _git(root, "rev-parse", "--show-prefix")
    with tempfile.TemporaryDirectory(prefix="gatekeeper-index-") as scratch:
        folder = Path(scratch).resolve()
        if prefix is None or _git(root, "checkout-index", "--all", "--force", f"--prefix={folder}/") is None:
            raise UsageError(f"{root}: Git does not write out its index; is this a Git repository?")
        inner = folder / prefix.decode("utf-8", "surrogateescape").strip()
        inner.mkdir(parents=True, exist_ok=True)
        yield inner


def line_times(root: Path, file: str) -> dict[int, int]:
    """When each line of a file was last changed, in seconds since 1970; none where Git does not know the file.

    Lines that are not committed yet are left out.
    """
    out = _git(root, "blame", "--porcelain", "--", file)
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


def base(root: Path, revision: str) -> str:
    """The commit where HEAD and a revision parted.

    Raises:
        UsageError: there is no such revision, or no common commit.
    """
    if revision.startswith("-"):
        raise UsageError(f"--since {revision}: is no revision")
    if _git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") is None:
        raise UsageError(f"--since {revision}: there is no such commit here; fetch it, or correct the name")
    found = _git(root, "merge-base", revision, "HEAD")
    if found is None:
        raise UsageError(f"--since {revision}: no commit in common with HEAD; fetch more history (--unshallow)")
    return found.decode().strip()


def renames(root: Path, commit: str) -> dict[str, str]:
    """Files that moved since a commit: the old name of each new one."""
    out = _git(root, "diff", "--find-renames", "--diff-filter=R", "--name-status", "-z", "--relative", commit) or b""
    words = out.decode("utf-8", "surrogateescape").split("\0")
    return {new: old for _, old, new in zip(words[::3], words[1::3], words[2::3], strict=False)}


@contextmanager
def commit(root: Path, name: str) -> Iterator[Path]:
    """A folder with the files of a commit; it is gone afterwards.

    Raises:
        UsageError: Git cannot write it out.
    """
    with tempfile.TemporaryDirectory(prefix="gatekeeper-commit-") as scratch:
        folder = Path(scratch).resolve()
        listing, files = folder / "index", folder / "files"
        done = [
            _git(root, "read-tree", f"--index-output={listing}", name, index=folder / "new"),
            _git(root, "checkout-index", "--all", "--force", f"--prefix={files}/", index=listing),
        ]
        prefix = _git(root, "rev-parse", "--show-prefix")
        if None in done or prefix is None:
            raise UsageError(f"{root}: Git does not write out commit {name}")
        inner = files / prefix.decode("utf-8", "surrogateescape").strip()
        inner.mkdir(parents=True, exist_ok=True)
        yield inner


class Commit(NamedTuple):
    """A commit: its hash, and the day it was made on."""

    name: str
    date: str


def ever_had(folder: Path, names: Sequence[str]) -> frozenset[str]:
    """Those of some files in a folder that are in the index, or were in any commit."""
    if not any((above / ".git").exists() for above in (folder, *folder.parents)):
        return frozenset()
    questions = (
        ("ls-files", "-z", "--", *names),
        ("log", "--all", "--format=", "-z", "--name-only", "--relative", "--", *names),
    )
    return frozenset().union(*(_names(_git(folder, *words) or b"") for words in questions))


def past(file: Path) -> list[Commit]:
    """The commits of all branches that changed a file, the first first; none where Git does not know it."""
    out = _git(file.absolute().parent, "log", "--all", "--reverse", "--format=%H %as", "--", file.name)
    lines = (out or b"").decode("ascii", "replace").splitlines()
    return [Commit(*line.split(" ", 1)) for line in lines]


def is_tracked(file: Path) -> bool:
    """Whether a file is in the index."""
    return _git(file.absolute().parent, "ls-files", "--error-unmatch", "--", file.name) is not None


def untrack(file: Path) -> bool:
    """Takes a file out of the index, and leaves it on the disk; whether that was done."""
    return _git(file.absolute().parent, "rm", "--cached", "--force", "--quiet", "--", file.name) is not None


def add(file: Path) -> bool:
    """Puts a file into the index; whether that was done."""
    return _git(file.absolute().parent, "add", "--", file.name) is not None


def archive(repository: Path, revision: str) -> bytes | None:
    """The files of a revision as a tar archive; None where Git does not give it."""
    return None if revision.startswith("-") else _git(repository, "archive", "--format=tar", revision)


def fetched(url: str, revision: str) -> bytes | None:
    """The files of a revision of a repository elsewhere, as a tar archive; None where it cannot be had."""
    if url.startswith("-") or revision.startswith("-"):
        return None
    with tempfile.TemporaryDirectory(prefix="gatekeeper-fetch-") as scratch:
        folder = Path(scratch)
        done = [
            _git(folder, "init", "--quiet", "--bare"),
            _git(folder, "fetch", "--quiet", "--depth=1", "--no-tags", url, revision, online=True),
        ]
        return None if None in done else _git(folder, "archive", "--format=tar", "FETCH_HEAD")


def _listed(root: Path, *arguments: str) -> frozenset[str]:
    out = _git(root, *arguments)
    if out is None:
        raise UsageError(f"{root}: Git does not answer `git {arguments[0]}`; is this a Git repository?")
    return _names(out)


def _names(out: bytes) -> frozenset[str]:
    return frozenset(out.decode("utf-8", "surrogateescape").split("\0")) - {""}


def _git(root: Path, *arguments: str, index: Path | None = None, online: bool = False) -> bytes | None:
    # A repository's own configuration must not start programs (fsmonitor, external diff).
    guard = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
    # In a hook of `git commit -a` the index is another file than usual, and only this variable tells.
    named = str(index) if index else os.environ.get("GIT_INDEX_FILE")
    environment = {"GIT_INDEX_FILE": str(Path(named).absolute())} if named else {}
    try:
        code, out, _ = run(["git", "-C", root, *guard, *arguments], SECONDS, environment=environment, online=online)
    except ToolError:
        return None
    return out if code == 0 else None
