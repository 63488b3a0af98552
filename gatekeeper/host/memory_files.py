"""Temporary files for libraries that read certificates and keys from files only.

Private keys are kept in /dev/shm, which is memory; all files are removed on close.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from gatekeeper.errors import ToolError

MEMORY_DIR = Path("/dev/shm")


class MemoryFiles:
    """Temporary files that exist until they are closed."""

    def __init__(self) -> None:
        self._folders: list[Path] = []

    def write_file(self, name: str, content: bytes, is_secret: bool) -> str:
        """Writes a new file that only this user can read; its path.

        Raises:
            ToolError: the content is secret, and there is no memory file system.
        """
        if is_secret and not os.access(MEMORY_DIR, os.W_OK):
            raise ToolError(
                f"{MEMORY_DIR} is not writable, and a private key is never written to a disk; mount a tmpfs there"
            )
        folder = Path(tempfile.mkdtemp(prefix="gatekeeper-store-", dir=MEMORY_DIR if is_secret else None))
        self._folders.append(folder)
        path = folder / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(content)
        return str(path)

    def close(self) -> None:
        """Removes all files."""
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders.clear()
