"""Files for libraries that take certificates and keys from files only: a key stays in memory, and all go in the end."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from gatekeeper.errors import ToolError

MEMORY_DIR = Path("/dev/shm")


class MemoryFiles:
    """Files for as long as a store is open."""

    def __init__(self) -> None:
        self._folders: list[Path] = []

    def write_file(self, name: str, content: bytes, is_secret: bool) -> str:
        """A new file, that only this user may read; its path.

        Raises:
            ToolError: it is secret, and there is no place for it but a disk.
        """
        if is_secret and not os.access(MEMORY_DIR, os.W_OK):
            raise ToolError(f"{MEMORY_DIR} is not there, and a private key is not written to a disk")
        folder = Path(tempfile.mkdtemp(prefix="gatekeeper-store-", dir=MEMORY_DIR if is_secret else None))
        self._folders.append(folder)
        path = folder / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(content)
        return str(path)

    def close(self) -> None:
        """Removes them."""
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders.clear()
