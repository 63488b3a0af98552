"""From paths to a Tree: the files that are to be judged."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gatekeeper import config, git
from gatekeeper.errors import UsageError
from gatekeeper.model import Gap

MAX_BYTES = 20 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of a run, relative to the repository's root, in order."""

    root: Path
    files: tuple[str, ...]
    gaps: tuple[Gap, ...] = ()

    def read(self, file: str) -> bytes | Gap:
        """A file's bytes, or why it cannot be read."""
        path = self.root / file
        try:
            if path.stat().st_size > MAX_BYTES:
                return Gap(
                    file, f"larger than {MAX_BYTES >> 20} MB: not read; list it under `files.exclude`", fatal=True
                )
            return path.read_bytes()
        except OSError as error:
            return Gap(file, f"cannot be read: {error.strerror or error}", fatal=True)


def root_of(path: Path) -> Path:
    """The nearest folder above that has a `gatekeeper.yaml` or a `.git`; else the path itself."""
    start = path if path.is_dir() else path.parent
    for folder in (start, *start.parents):
        if (folder / config.NAME).is_file() or (folder / ".git").exists():
            return folder
    return start


def gather(paths: Sequence[Path], root: Path, exclude: Sequence[str]) -> Tree:
    """All files under the paths, less what Git ignores and what the config excludes.

    Raises:
        UsageError: a path does not exist, or lies outside the root.
    """
    root = root.resolve()
    files: set[str] = set()
    gaps: list[Gap] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
        if not path.resolve().is_relative_to(root):
            raise UsageError(f"{path}: lies outside of the repository {root}")
        found = git.files(root, path.resolve()) if (root / ".git").exists() else None
        files.update(_walk(root, path.resolve(), gaps) if found is None else found)
    kept: list[str] = []
    for file in sorted(files):
        gap = _excluded(root, file, exclude)
        if gap is None:
            kept.append(file)
        elif gap.reason:
            gaps.append(gap)
    return Tree(root, tuple(kept), tuple(gaps))


def _excluded(root: Path, file: str, patterns: Sequence[str]) -> Gap | None:
    for pattern in patterns:
        if fnmatch.fnmatch(file, pattern) or file.startswith(pattern.rstrip("/") + "/"):
            return Gap(file, f"excluded by the config (`{pattern}`)")
    path = root / file
    if path.is_symlink():
        return _link(root, path, file)
    if path.is_file():
        return None
    if path.is_dir():
        return Gap(file, "a Git submodule: judge it in its own repository")
    return Gap(file, "") if not path.exists() else Gap(file, "neither a file nor a folder")


def _link(root: Path, path: Path, file: str) -> Gap | None:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return Gap(file, "a symbolic link that leads nowhere or to itself: mend or remove it", fatal=True)
    if not target.is_relative_to(root):
        return Gap(file, "a symbolic link out of the repository: not followed; copy the file instead", fatal=True)
    return Gap(file, f"a symbolic link: judged as {target.relative_to(root)}")


def _walk(root: Path, start: Path, gaps: list[Gap]) -> list[str]:
    if start.is_file():
        return [start.relative_to(root).as_posix()]
    found: list[str] = []

    def unreadable(error: OSError) -> None:
        gaps.append(Gap(Path(error.filename).relative_to(root).as_posix(), "a folder that cannot be read", fatal=True))

    for folder, folders, names in os.walk(start, onerror=unreadable):
        folders[:] = sorted(name for name in folders if name != ".git")
        here = Path(folder)
        linked = [name for name in folders if (here / name).is_symlink()]
        found.extend((here / name).relative_to(root).as_posix() for name in (*names, *linked))
    return found
