"""From paths to a Tree: the files that are to be judged."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gatekeeper.errors import UsageError
from gatekeeper.host import git_state
from gatekeeper.model import Gap

MAX_FILE_BYTES = 20 * 1024 * 1024
# So much of what was read is kept for the next who asks; the rest is read again.
CACHE_BYTES = 64 * 1024 * 1024
READ_CHUNK_BYTES = 1 << 13


class Tree:
    """The files of a run, relative to the repository's root, in order; each is read once.

    Attributes:
        gaps: what was found, but is not read as a file.
        is_whole: whether these are all files of the repository.
    """

    __slots__ = ("_held", "_room", "files", "gaps", "is_whole", "root")

    def __init__(self, root: Path, files: Sequence[str], gaps: Sequence[Gap] = (), is_whole: bool = False) -> None:
        self.root = root
        self.files = tuple(files)
        self.gaps = tuple(gaps)
        self.is_whole = is_whole
        self._held: dict[str, bytes] = {}
        self._room = CACHE_BYTES

    def select_files(self, predicate: Callable[[str], bool]) -> Tree:
        """A tree of some of the files."""
        part = Tree(self.root, [file for file in self.files if predicate(file)], self.gaps, self.is_whole)
        part._held = self._held
        return part

    def read_file(self, file: str) -> bytes | Gap:
        """A file's bytes, or why it cannot be read."""
        held = self._held.get(file)
        if held is not None:
            return held
        try:
            content = _read_limited(f"{self.root}/{file}")
        except OSError as error:
            return Gap(file, f"cannot be read: {error.strerror or error}", is_fatal=True)
        if content is None:
            return Gap(
                file, f"larger than {MAX_FILE_BYTES >> 20} MB: not read; list it under `files.exclude`", is_fatal=True
            )
        if len(content) <= self._room:
            self._room -= len(content)
            self._held[file] = content
        return content


def _read_limited(path: str) -> bytes | None:
    """A file's content, or None where it is too large. Three system calls for most files."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        content = os.read(descriptor, READ_CHUNK_BYTES)
        if len(content) == READ_CHUNK_BYTES:
            if os.fstat(descriptor).st_size > MAX_FILE_BYTES:
                return None
            with os.fdopen(os.dup(descriptor), "rb") as rest:
                content += rest.read(MAX_FILE_BYTES)
        return content
    finally:
        os.close(descriptor)


def build_tree(paths: Sequence[Path], root: Path, exclude: Sequence[str]) -> Tree:
    """All files under the paths, less what Git ignores and what the config excludes.

    Raises:
        UsageError: a path does not exist, or lies outside the root.
    """
    root = root.resolve()
    files: set[str] = set()
    ordinary: set[str] = set()
    gaps: list[Gap] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
        start = path.resolve()
        if not start.is_relative_to(root):
            raise UsageError(f"{path}: lies outside of the repository {root}")
        found = git_state.list_files(root, start) if (root / ".git").exists() else None
        files.update(_walk(root, start, ordinary, gaps) if found is None else found)
    kept: list[str] = []
    for file in sorted(files):
        gap = _find_exclusion(file, exclude) or (None if file in ordinary else _check_regular_file(root, file))
        if gap is None:
            kept.append(file)
        elif gap.reason:
            gaps.append(gap)
    return Tree(root, kept, gaps, any(path.resolve() == root for path in paths))


def _find_exclusion(file: str, patterns: Sequence[str]) -> Gap | None:
    for pattern in patterns:
        if fnmatch.fnmatch(file, pattern) or file.startswith(pattern.rstrip("/") + "/"):
            return Gap(file, f"excluded by the config (`{pattern}`)")
    return None


def _check_regular_file(root: Path, file: str) -> Gap | None:
    """Why something is not read as a file; without a reason where it was deleted, though Git still lists it."""
    path = f"{root}/{file}"
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return Gap(file, "")
    except OSError as error:
        return Gap(file, f"cannot be looked at: {error.strerror or error}", is_fatal=True)
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISLNK(mode):
        return _check_link(root, Path(path), file)
    return Gap(file, "a Git submodule: judge it in its own repository" if stat.S_ISDIR(mode) else "no ordinary file")


def _check_link(root: Path, path: Path, file: str) -> Gap | None:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return Gap(file, "a symbolic link that leads nowhere or to itself: mend or remove it", is_fatal=True)
    if not target.is_relative_to(root):
        return Gap(file, "a symbolic link out of the repository: not followed; copy the file instead", is_fatal=True)
    return Gap(file, f"a symbolic link: judged as {target.relative_to(root)}")


def _walk(root: Path, start: Path, regular_files: set[str], gaps: list[Gap]) -> Iterator[str]:
    """Everything below a folder that is no folder itself, relative to the root; links are not followed.

    What the folder itself tells to be an ordinary file is noted in `regular_files`, so that nobody asks again.
    """
    relative = start.relative_to(root).as_posix()
    if start.is_file():
        yield relative
        return
    waiting = ["" if relative == "." else f"{relative}/"]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(f"{root}/{folder}") as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False):
                        regular_files.add(folder + entry.name)
                        yield folder + entry.name
                    elif not entry.is_dir(follow_symlinks=False):
                        yield folder + entry.name
                    elif entry.name != ".git":
                        waiting.append(f"{folder}{entry.name}/")
        except OSError:
            gaps.append(Gap(folder.rstrip("/"), "a folder that cannot be read", is_fatal=True))
