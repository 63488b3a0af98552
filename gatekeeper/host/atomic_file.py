"""Writing a file so that it is there as a whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def write(path: Path, content: bytes, mode: int | None = None) -> None:
    """Writes to a new file beside the path, then renames it. Where the path is a link, what it leads to is replaced.

    Args:
        mode: who may read it, less what the user's mask takes away; it is so from the first byte on. Left out, a file
            that is there keeps its own, and a new one has the usual.
    """
    target = path.resolve()
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    kept = stat.S_IMODE(target.stat().st_mode) if mode is None and target.exists() else None
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        with os.fdopen(os.open(partial, flags, 0o600 if kept is not None else mode or 0o666), "wb") as handle:
            handle.write(content)
            if kept is not None:
                os.fchmod(handle.fileno(), kept)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
