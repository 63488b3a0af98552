"""The choice of the files that a run checks: what Git lists or the folder has, without what the config excludes."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from gatekeeper.errors import UsageError
from gatekeeper.host import git_state
from gatekeeper.model import Gap
from gatekeeper.workspace import links
from gatekeeper.workspace.tree import GIT_FOLDER, Tree

# A folder with more is a home folder or a disk rather than manifests; where Git lists the files, there is no limit.
MAX_WALKED_FILES = 200_000


def build_tree(paths: Sequence[Path], root: Path, exclude: Sequence[str], policy_folders: Sequence[str] = ()) -> Tree:
    """All files below some paths, except those that Git ignores and those that the config excludes.

    A symbolic link to a file of the repository is a file of its own, unless its target is checked for the same.

    Args:
        exclude: patterns and folders, as in `files.exclude`.
        policy_folders: folders whose files are not checked as resources, as in `policies.paths`.

    Raises:
        UsageError: a path does not exist, is no file or folder, or is outside of the root; the root is a bare Git
            repository; or a folder that is no Git repository has too many files.
    """
    root = root.resolve()
    if git_state.is_bare_repository(root):
        raise UsageError(f"{root}: a bare Git repository, which has no files to check; clone it, and check the clone")
    files: set[str] = set()
    regular_files: set[str] = set()
    gaps: list[Gap] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
        start = path.resolve()
        if not start.is_file() and not start.is_dir():
            raise UsageError(f"{path}: neither a file nor a folder; name a file or a folder of the repository")
        if not start.is_relative_to(root):
            raise UsageError(f"{path}: outside the repository {root}")
        listed = git_state.list_files(root, start) if (root / GIT_FOLDER).exists() else None
        if listed is None:
            files.update(_limit_files(start, _walk(root, start, regular_files, gaps)))
        else:
            files.update(listed)
    kept: list[str] = []
    targets: dict[str, str] = {}
    for file in sorted(files):
        gap = _find_exclusion(file, exclude) or (
            None if file in regular_files else _check_regular_file(root, file, targets)
        )
        if gap is None and file not in targets:
            kept.append(file)
        elif gap is not None and gap.reason:
            gaps.append(gap)
    followed, more_gaps = _follow_links(root, targets, set(kept), policy_folders)
    is_whole = any(path.resolve() == root for path in paths)
    return Tree(root, sorted([*kept, *followed]), [*gaps, *more_gaps], is_whole, followed)


def _follow_links(
    root: Path, targets: Mapping[str, str], kept_files: Collection[str], policy_folders: Sequence[str]
) -> tuple[dict[str, str], list[Gap]]:
    """The links to read, with their targets; and the gaps of the others."""
    followed: dict[str, str] = {}
    gaps: list[Gap] = []
    for file, target in targets.items():
        if (root / target).is_dir():
            gaps.append(links.check_folder(root, file, target, kept_files))
        elif links.is_read_as_itself(root, file, target, kept_files, policy_folders):
            gaps.append(Gap(file, f"a symbolic link: checked as {target}"))
        elif target not in kept_files and git_state.list_files(root, root / target) == []:
            reason = f"a symbolic link to {target}, which Git ignores: no clone has it; commit the file"
            gaps.append(Gap(file, reason, is_fatal=True))
        else:
            followed[file] = target
    return followed, gaps


def _find_exclusion(file: str, patterns: Sequence[str]) -> Gap | None:
    for pattern in patterns:
        if fnmatch.fnmatch(file, pattern) or file.startswith(pattern.rstrip("/") + "/"):
            return Gap(file, f"excluded by the config (`{pattern}`)")
    return None


def _check_regular_file(root: Path, file: str, targets: dict[str, str]) -> Gap | None:
    """Why something is not read as a file; without a reason if it was deleted and Git still lists it.

    Args:
        targets: the target of a link is added.
    """
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
        target = links.find_target(root, file)
        if isinstance(target, Gap):
            return target
        targets[file] = target
        return None
    return Gap(file, "a Git submodule: check it in its own repository" if stat.S_ISDIR(mode) else "not a regular file")


def _limit_files(start: Path, files: Iterator[str]) -> Iterator[str]:
    """The files as they are listed, up to a number that needs little memory.

    Raises:
        UsageError: there are more.
    """
    for number, file in enumerate(files):
        if number == MAX_WALKED_FILES:
            reason = f"more than {MAX_WALKED_FILES:,} files in a folder that is no Git repository"
            raise UsageError(f"{start}: {reason}; name the folders with manifests, or run it in a Git repository")
        yield file


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
