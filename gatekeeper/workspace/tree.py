"""The files of a repository: which of them are checked, and their content."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from gatekeeper.errors import UsageError
from gatekeeper.host import git_state
from gatekeeper.model import Gap

MAX_FILE_BYTES = 20 * 1024 * 1024
# This much content is kept in memory for the next reader; other files are read again.
CACHE_BYTES = 64 * 1024 * 1024
READ_CHUNK_BYTES = 1 << 13
GIT_FOLDER = ".git"


class Tree:
    """The files of a run, relative to the repository's root and sorted; each is read once.

    Attributes:
        gaps: files that were found and are not read.
        is_whole: whether these are all files of the repository.
    """

    __slots__ = ("_contents", "_free_bytes", "files", "gaps", "is_whole", "root")

    def __init__(self, root: Path, files: Sequence[str], gaps: Sequence[Gap] = (), is_whole: bool = False) -> None:
        self.root = root
        self.files = tuple(files)
        self.gaps = tuple(gaps)
        self.is_whole = is_whole
        self._contents: dict[str, bytes] = {}
        self._free_bytes = CACHE_BYTES

    def select_files(self, predicate: Callable[[str], bool]) -> Tree:
        """A tree of some of the files."""
        part = Tree(self.root, [file for file in self.files if predicate(file)], self.gaps, self.is_whole)
        part._contents = self._contents
        return part

    def read_file(self, file: str) -> bytes | Gap:
        """The content of a file, or a fatal gap with the reason why it cannot be read."""
        cached = self._contents.get(file)
        if cached is not None:
            return cached
        try:
            content = _read_limited(f"{self.root}/{file}")
        except OSError as error:
            return Gap(file, f"cannot be read: {error.strerror or error}", is_fatal=True)
        if content is None:
            return Gap(
                file, f"larger than {MAX_FILE_BYTES >> 20} MB: not read; list it under `files.exclude`", is_fatal=True
            )
        if len(content) <= self._free_bytes:
            self._free_bytes -= len(content)
            self._contents[file] = content
        return content


def _read_limited(path: str) -> bytes | None:
    """The content of a file; None if it is too large. Three system calls for most files."""
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


def list_files_below(start: Path, suffixes: tuple[str, ...] = ("",)) -> list[Path]:
    """The files below a folder that the user names, such as policies, sorted; a file stands for itself.

    Links to files are listed, links to folders are not followed, and `.git` is left out. Neither `files.exclude` nor
    `.gitignore` counts here. A path that does not exist has no files.

    Args:
        suffixes: list only files whose names end with one of these.

    Raises:
        OSError: a folder cannot be read.
    """
    if start.is_file():
        return [start]
    listed: list[Path] = []
    for folder, folders, names in os.walk(start, onerror=_raise_error if start.exists() else None):
        folders[:] = [name for name in folders if name != GIT_FOLDER]
        listed.extend(Path(folder, name) for name in names if name.endswith(suffixes))
    # Links that lead nowhere, pipes and sockets are not files.
    return sorted(path for path in listed if path.is_file())


def _raise_error(error: OSError) -> NoReturn:
    raise error


def build_tree(paths: Sequence[Path], root: Path, exclude: Sequence[str]) -> Tree:
    """All files below some paths, except those that Git ignores and those that the config excludes.

    Args:
        exclude: patterns and folders, as in `files.exclude`.

    Raises:
        UsageError: a path does not exist, or is outside of the root.
    """
    root = root.resolve()
    files: set[str] = set()
    regular_files: set[str] = set()
    gaps: list[Gap] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
        start = path.resolve()
        if not start.is_relative_to(root):
            raise UsageError(f"{path}: outside of the repository {root}")
        listed = git_state.list_files(root, start) if (root / GIT_FOLDER).exists() else None
        files.update(_walk(root, start, regular_files, gaps) if listed is None else listed)
    kept: list[str] = []
    for file in sorted(files):
        gap = _find_exclusion(file, exclude) or (None if file in regular_files else _check_regular_file(root, file))
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
    """Why something is not read as a file; without a reason if it was deleted and Git still lists it."""
    path = f"{root}/{file}"
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return Gap(file, "")
    except OSError as error:
        return Gap(file, f"cannot be read: {error.strerror or error}", is_fatal=True)
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISLNK(mode):
        return _check_link(root, Path(path), file)
    return Gap(file, "a Git submodule: check it in its own repository" if stat.S_ISDIR(mode) else "not a regular file")


def _check_link(root: Path, path: Path, file: str) -> Gap | None:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return Gap(file, "a symbolic link to nothing or to itself: correct or remove it", is_fatal=True)
    if not target.is_relative_to(root):
        return Gap(file, "a symbolic link out of the repository: not followed; copy the file instead", is_fatal=True)
    return Gap(file, f"a symbolic link: checked as {target.relative_to(root)}")


def _walk(root: Path, start: Path, regular_files: set[str], gaps: list[Gap]) -> Iterator[str]:
    """Everything below a folder that is not a folder itself, relative to the root; links are not followed.

    Args:
        regular_files: regular files are added, so that they need no second look.
        gaps: folders that cannot be read are added.
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
                    elif entry.name != GIT_FOLDER:
                        waiting.append(f"{folder}{entry.name}/")
        except OSError:
            gaps.append(Gap(folder.rstrip("/"), "a folder that cannot be read", is_fatal=True))
