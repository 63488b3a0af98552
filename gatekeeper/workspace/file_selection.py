"""The choice of the files that a run checks: what Git lists or the folder has, without what the config excludes."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from gatekeeper.errors import UsageError
from gatekeeper.host import git_state
from gatekeeper.model import Gap
from gatekeeper.workspace.tree import GIT_FOLDER, Tree


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
