"""Writing a file so that it is there as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Writes to a new file beside the path, then renames it.

    Args:
        mode: who may read it, less what the user's mask takes away; it is so from the first byte on.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as handle:
            handle.write(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
