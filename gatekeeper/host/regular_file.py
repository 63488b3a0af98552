"""Reading of files whose names are fixed, so that anything can have the name: a folder, a pipe, a device."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_regular_file(path: Path) -> bytes:
    """The content of a file, without waiting for a process that writes to it.

    Raises:
        OSError: it is missing, cannot be read, or is no regular file.
    """
    # Without this flag the call waits until a process writes to the pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return file.read()
