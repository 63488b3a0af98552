"""What the outcome of a run hangs on: the files that a repository can be rendered from, the config, and the day."""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from gatekeeper import __version__, git
from gatekeeper.config import Config

MOST_IGNORED = 20_000


def of(root: Path, config: Config, asked: Sequence[str], today: datetime.date, staged: bool) -> Iterator[bytes] | None:
    """The parts of a run's identity; None where they cannot be had quickly and surely.

    Args:
        asked: what was asked for on the command line.
        staged: whether the index is judged, and not the work tree.
    """
    files = _tracked(root, staged) if (root / ".git").exists() else None
    if files is None:
        return None
    return _parts(root, config, asked, today, files)


def _parts(
    root: Path, config: Config, asked: Sequence[str], today: datetime.date, files: Sequence[bytes]
) -> Iterator[bytes]:
    yield repr((str(today), tuple(asked), config)).encode()
    yield from files
    for folder in (*config.policies, *config.data, *config.crds, *config.leak_rules):
        start = root / folder
        if not start.resolve().is_relative_to(root.resolve()):
            yield from _contents(start)


def judges() -> bytes:
    """What tells one installation that judges from another."""
    return f"{__version__} {sys.version} {_own()} {_installed()}".encode("utf-8", "surrogateescape")


def _own() -> str:
    """What tells one build of this package from another: size and time of each of its files."""
    here = Path(__file__).parent
    found = []
    for folder in (here, here.parent / "policies"):
        for name, _, names in os.walk(folder):
            if "__pycache__" not in name:
                stats = [(file, os.lstat(f"{name}/{file}")) for file in sorted(names)]
                found.append(f"{name} {[(file, about.st_size, about.st_mtime_ns) for file, about in stats]}")
    return "\n".join(sorted(found))


def _installed() -> str:
    """The packages beside this one, with their versions: some of them judge."""
    folders = [Path(folder) for folder in sys.path if folder.endswith("-packages")]
    found = [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]
    return repr(sorted(name for name in found if name.endswith(".dist-info")))


def _tracked(root: Path, staged: bool) -> list[bytes] | None:
    """The repository's files: those of the index by Git's digests, those that differ from it by their content."""
    state = git.state(root)
    if state is None:
        return None
    parts = [state.listing]
    if staged:
        return parts
    for file in sorted({*state.changed, *state.new}):
        content = _content(root / file)
        if content is None:
            return None
        parts += [os.fsencode(file), content]
    if len(state.ignored) > MOST_IGNORED:
        return None
    # Ignored files are not judged, but kustomize and Helm can read them.
    parts += [f"{file} {_about(root / file)}".encode("utf-8", "surrogateescape") for file in sorted(state.ignored)]
    return parts


def _content(path: Path) -> bytes | None:
    try:
        if path.is_symlink():
            return b"-> " + os.fsencode(path.readlink())
        return path.read_bytes() if path.exists() else b"gone"
    except OSError:
        return None


def _about(path: Path) -> str:
    try:
        about = path.lstat()
    except OSError as error:
        return str(error.errno)
    return f"{about.st_size} {about.st_mtime_ns} {about.st_ino}"


def _contents(start: Path) -> Iterator[bytes]:
    files = [start] if start.is_file() else sorted(path for path in start.rglob("*") if path.is_file())
    for file in files:
        yield os.fsencode(file)
        yield _content(file) or b"unreadable"
