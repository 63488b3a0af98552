"""Writes files atomically: a reader sees the old content or the new one, and never a part."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path


def write(path: Path, content: bytes, mode: int | None = None) -> None:
    """Writes to a temporary file in the same folder, then renames it. If the path is a link, its target is replaced.

    Args:
        mode: the permissions, reduced by the umask, from the first byte on. None keeps those of an existing file, and
            gives a new file the default ones.
    """
    target = path.resolve()
    partial = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
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
