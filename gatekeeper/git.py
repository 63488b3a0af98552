"""The only door to Git: which files a repository has, and at which revision it stands."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.errors import ToolError
from gatekeeper.process import run

SECONDS = 60.0


def files(root: Path, below: Path) -> list[str] | None:
    """Tracked and new, not ignored files below a folder, relative to `root`; None where Git does not answer."""
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", str(below))
    if listed is None:
        return None
    return sorted(set(listed.decode("utf-8", "surrogateescape").split("\0")) - {""})


def revision(root: Path) -> str | None:
    """The commit that is checked out, with `-dirty` where the work tree differs from it; None outside of Git."""
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return None
    found = _git(root, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")
    return found.decode("ascii", "replace").strip() if found is not None else None


def _git(root: Path, *arguments: str) -> bytes | None:
    # A repository's own configuration must not start programs (fsmonitor, external diff).
    guard = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
    try:
        code, out, _ = run(["git", "-C", root, *guard, *arguments], SECONDS)
    except ToolError:
        return None
    return out if code == 0 else None
