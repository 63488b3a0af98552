"""What the outcome of a run hangs on: the files that a repository can be rendered from, the config, and the day."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gatekeeper import __version__
from gatekeeper.config import Config
from gatekeeper.host import git_state
from gatekeeper.workspace.tree import list_files_below

MAX_IGNORED_FILES = 20_000


class CacheInput(NamedTuple):
    """What is to be judged, as far as Git and the file system tell it quickly.

    Attributes:
        git_listing: Git's own, with a digest of each file.
        differing_files: names of files that differ from it, or are not in it.
        differing_contents: those names with what they hold.
        surrounding_inputs: what else can be read in judging: ignored files, policies from outside.
    """

    git_listing: bytes
    differing_files: frozenset[str]
    differing_contents: tuple[bytes, ...]
    surrounding_inputs: tuple[bytes, ...]

    @property
    def digest_parts(self) -> tuple[bytes, ...]:
        """All of it, for a digest."""
        return (self.git_listing, b"contents", *self.differing_contents, b"around", *self.surrounding_inputs)


def collect_input(root: Path, config: Config, is_staged: bool) -> CacheInput | None:
    """A repository's input; None where it cannot be had quickly and surely.

    Args:
        is_staged: whether the index is judged, and not the work tree.
    """
    state = git_state.read_state(root) if (root / ".git").exists() else None
    if state is None or len(state.ignored_files) > MAX_IGNORED_FILES:
        return None
    differing = frozenset[str]() if is_staged else state.changed_files | state.new_files
    contents: list[bytes] = []
    for file in sorted(differing):
        content = _read_content(root / file)
        if content is None:
            return None
        contents += [os.fsencode(file), content]
    # Ignored files are not judged, but kustomize and Helm can read them.
    around = [
        f"{file} {_describe_status(root / file)}".encode("utf-8", "surrogateescape")
        for file in sorted(state.ignored_files)
    ]
    for folder in (*config.policies, *config.data, *config.crds, *config.leak_rules):
        start = root / folder
        if not start.resolve().is_relative_to(root.resolve()):
            around.extend(iterate_contents(start))
    return CacheInput(state.listing, differing, tuple(contents), tuple(around))


def identify_installation() -> bytes:
    """What tells one installation that judges from another."""
    return f"{__version__} {sys.version} {_fingerprint_package()} {_list_installed_packages()}".encode(
        "utf-8", "surrogateescape"
    )


def _fingerprint_package() -> str:
    """What tells one build of this package from another: size and time of each of its files."""
    found = []
    for name, _, names in os.walk(Path(__file__).parent.parent):
        if "__pycache__" not in name:
            stats = [(file, os.lstat(f"{name}/{file}")) for file in sorted(names)]
            found.append(f"{name} {[(file, about.st_size, about.st_mtime_ns) for file, about in stats]}")
    return "\n".join(sorted(found))


def _list_installed_packages() -> str:
    """The packages beside this one, with their versions: some of them judge."""
    folders = [Path(folder) for folder in sys.path if folder.endswith("-packages")]
    found = [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]
    return repr(sorted(name for name in found if name.endswith(".dist-info")))


def _read_content(path: Path) -> bytes | None:
    try:
        if path.is_symlink():
            return b"-> " + os.fsencode(path.readlink())
        return path.read_bytes() if path.exists() else b"gone"
    except OSError:
        return None


def _describe_status(path: Path) -> str:
    try:
        about = path.lstat()
    except OSError as error:
        return str(error.errno)
    return f"{about.st_size} {about.st_mtime_ns} {about.st_ino}"


def iterate_contents(start: Path) -> Iterator[bytes]:
    """Names and contents of all files below a folder."""
    for file in list_files_below(start):
        yield os.fsencode(file)
        yield _read_content(file) or b"unreadable"
