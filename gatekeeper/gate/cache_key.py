"""The input of a verdict: the files that a repository is rendered from, and the version of the installation."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from gatekeeper import __version__
from gatekeeper.config import Config, list_schema_paths
from gatekeeper.host import git_state
from gatekeeper.host.git_state import StagedState, WorkTreeState
from gatekeeper.host.toolchain import TOOLS, get_built_path
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.workspace.tree import list_files_below

MAX_IGNORED_FILES = 20_000
# Returns the state of the work tree at a root; None as `git_state.read_state` does.
ReadState = Callable[[Path], WorkTreeState | None]


class CacheInput(NamedTuple):
    """The files of a repository, as far as Git and the file system list them quickly.

    Attributes:
        git_listing: Git's listing of the index, with a digest of each file.
        differing_files: the files that differ from the listing, or are not in it.
        differing_contents: the names of those files, each before its content.
        surrounding_inputs: other files that rendering can read: ignored files, policies outside the repository.
    """

    git_listing: bytes
    differing_files: frozenset[str]
    differing_contents: tuple[bytes, ...]
    surrounding_inputs: tuple[bytes, ...]

    @property
    def digest_parts(self) -> tuple[bytes, ...]:
        """All parts, to derive a cache key from."""
        return (self.git_listing, b"contents", *self.differing_contents, b"around", *self.surrounding_inputs)


def collect_input(
    root: Path, config: Config, staged: StagedState | None, read_state: ReadState = git_state.read_state
) -> CacheInput | None:
    """Lists the files of a repository; None if that is not possible quickly and reliably.

    Args:
        staged: the index of Git, if it is checked instead of the work tree.
    """
    if not (root / ".git").exists():
        return None
    state = read_state(root) if staged is None else git_state.describe_staged(root, staged)
    if state is None or len(state.ignored_files) > MAX_IGNORED_FILES:
        return None
    differing = state.changed_files | state.new_files
    contents: list[bytes] = []
    for file in sorted(differing):
        content = _read_content(root / file)
        if content is None:
            return None
        contents += [os.fsencode(file), content]
    # The gate skips ignored files, but kustomize and Helm can read them.
    surrounding = [
        f"{file} {_describe_status(root / file)}".encode("utf-8", "surrogateescape")
        for file in sorted(state.ignored_files)
    ]
    for folder in (*config.policies, *config.data, *list_schema_paths(config), *config.leak_rules):
        start = root / folder
        # A folder that `--policy` names is read from the work tree, even if the index is checked.
        is_named = staged is not None and Path(folder).is_absolute()
        if is_named or not start.resolve().is_relative_to(root.resolve()):
            surrounding.extend(iterate_contents(start))
    return CacheInput(state.listing, differing, tuple(contents), tuple(surrounding))


def identify_installation() -> bytes:
    """Identifies this installation: its version, its files, Python, the installed packages and its own Go programs."""
    parts = (__version__, sys.version, _fingerprint_package(), _list_installed_packages(), _describe_programs())
    return " ".join(parts).encode("utf-8", "surrogateescape")


def _describe_programs() -> str:
    """The version, size and time of the programs that decide as the cluster does; without one, verdicts are others."""
    tools = [TOOLS[name] for name in ("gatekeeper-upstream", "gatekeeper-kyverno")]
    return " ".join(f"{tool.version} {_describe_status(get_built_path(tool))}" for tool in tools)


def _fingerprint_package() -> str:
    """The size and time of each file of this package."""
    lines = []
    # Not `tree.list_files_below`, nor `os.walk`, which take twice as long: this runs in each commit hook.
    waiting = [str(Path(__file__).parent.parent)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != "__pycache__":
                        waiting.append(entry.path)
                    continue
                stat = entry.stat(follow_symlinks=False)
                lines.append(f"{entry.path} {stat.st_size} {stat.st_mtime_ns}")
    return "\n".join(sorted(lines))


def _list_installed_packages() -> str:
    """The installed packages with their versions: some of them validate or parse."""
    folders = [Path(folder) for folder in sys.path if folder.endswith("-packages")]
    names = [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]
    return repr(sorted(name for name in names if name.endswith(".dist-info")))


def _read_content(path: Path) -> bytes | None:
    try:
        if path.is_symlink():
            return b"-> " + os.fsencode(path.readlink())
        return path.read_bytes() if path.exists() else b"gone"
    except OSError:
        return None


def _describe_status(path: Path) -> str:
    try:
        stat = path.lstat()
    except OSError as error:
        return str(error.errno)
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"


def iterate_contents(start: Path) -> Iterator[bytes]:
    """The name and content of each file below a folder, or of one file."""
    for file in list_files_below(start):
        yield os.fsencode(file)
        yield _read_content(file) or b"unreadable"
