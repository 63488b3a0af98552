"""The cache of fetched sources: files by the digest of their bytes, which are compared with it each time they are read.

Several processes can use it at the same time: a file is complete as soon as it has its name, and never changes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from gatekeeper.errors import ToolError
from gatekeeper.host import atomic_file, program_failures
from gatekeeper.host.cache import user_cache_dir
from gatekeeper.host.regular_file import read_regular_file
from gatekeeper.sources.model import DIGEST


class MissingSourceError(ToolError):
    """The bytes of a locked source are not on this machine, or not as they were locked."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        # The verdict depends on more than the repository: it must not be kept.
        program_failures.note_failure()


class SourceCache:
    """Folders with fetched bytes.

    Args:
        folder: what is fetched is written there.
        vendored: folders of the repository, which are read first.
    """

    def __init__(self, folder: Path, vendored: Sequence[Path] = ()) -> None:
        self.folder, self._vendored = folder, vendored

    def read(self, digest: str) -> bytes:
        """The bytes with a digest.

        Raises:
            MissingSourceError: they are missing, or were changed.
            ToolError: the text is no digest.
        """
        changed: Path | None = None
        for folder in (*self._vendored, self.folder):
            path = folder / get_cache_path(digest)
            try:
                content = read_regular_file(path)
            except OSError:
                continue
            if f"sha256:{hashlib.sha256(content).hexdigest()}" == digest:
                return content
            changed = path
        if changed is not None:
            raise MissingSourceError(f"{changed} was changed after it was fetched: run `gatekeeper fetch`")
        raise MissingSourceError("locked, but not fetched on this machine: run `gatekeeper fetch`")

    def has(self, digest: str) -> bool:
        """Whether the bytes are here, and unchanged."""
        try:
            self.read(digest)
        except ToolError:
            return False
        return True

    def add(self, content: bytes, folder: Path | None = None) -> str:
        """Writes bytes to the cache, or to another folder with the same paths, and returns their digest.

        Raises:
            OSError: the folder cannot be written.
        """
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        path = (folder or self.folder) / get_cache_path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_file.write(path, content, 0o444)
        return digest


def get_cache_path(digest: str) -> str:
    """The path of bytes below a folder of a cache.

    Raises:
        ToolError: the text is no digest.
    """
    found = DIGEST.fullmatch(digest)
    if found is None:
        raise ToolError("the lock has a digest that is not `sha256:` and 64 hexadecimal digits")
    return f"sha256/{found[1][:2]}/{found[1]}"


def open_source_cache(vendored: Sequence[Path] = ()) -> SourceCache:
    """The cache of this user, or the folder that `GATEKEEPER_SOURCES` names, such as one that CI keeps between runs."""
    return SourceCache(Path(os.environ.get("GATEKEEPER_SOURCES") or user_cache_dir() / "sources"), vendored)
