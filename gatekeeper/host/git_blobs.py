"""Compares files with the index of Git without starting Git: by the digests in its listing."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from gatekeeper.host.regular_file import read_regular_file

SHA1_LENGTH = 40


def has_equal_files(root: Path, paths: Iterable[str], listing: bytes) -> bool:
    """Whether the work tree has exactly the files of the index below some paths, with the same bytes.

    False does not mean that they differ: with links, submodules and filters (line ends) only Git knows.

    Args:
        paths: files and folders, relative to the root.
        listing: the index, as `git ls-files -z --stage -v` lists it.
    """
    try:
        return all(_is_equal(root, path, listing) for path in paths)
    except OSError:
        return False


def _is_equal(root: Path, path: str, listing: bytes) -> bool:
    digests = dict(_find_digests(os.fsencode(path), listing))
    if set(map(os.fsencode, _list_files(root, path))) != digests.keys():
        return False
    return all(
        digest and digest == compute_digest(read_regular_file(root / os.fsdecode(name)), len(digest))
        for name, digest in digests.items()
    )


def _find_digests(path: bytes, listing: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The name and digest of each file at or below a path; the digest of a link or a submodule is empty."""
    for start, is_folder in ((path, False), (path + b"/", True)):
        position = _find_position(start, listing)
        while position < len(listing):
            entry = listing[position : listing.index(b"\0", position)]
            attributes, _, name = entry.partition(b"\t")
            if not (name.startswith(start) if is_folder else name == start):
                break
            _, mode, digest, _ = attributes.split(b" ")
            yield name, digest if mode.startswith(b"100") else b""
            position += len(entry) + 1


def _find_position(name: bytes, listing: bytes) -> int:
    """Where the first entry is whose name does not come before a name: Git sorts the entries by their names."""
    low, high = 0, len(listing)
    while low < high:
        middle = (low + high) // 2
        start, end = listing.rfind(b"\0", 0, middle) + 1, listing.index(b"\0", middle)
        if listing[start:end].partition(b"\t")[2] < name:
            low = end + 1
        else:
            high = start
    return low


def _list_files(root: Path, path: str) -> Iterator[str]:
    """The names of the files at or below a path; not `tree.list_files_below`, which leaves some files out.

    Raises:
        OSError: a folder cannot be read, or something is neither a file nor a folder.
    """
    try:
        mode = (root / path).lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISREG(mode):
        yield path
        return
    if not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    with os.scandir(root / path) as entries:
        names = [f"{path}/{entry.name}" for entry in entries]
    for name in names:
        yield from _list_files(root, name)


def compute_digest(content: bytes, length: int) -> bytes:
    """The digest of a file in Git, in hexadecimal.

    Source: gitformat-pack(5) and git-hash-object(1): the type and size, and the content.
    """
    name = "sha1" if length == SHA1_LENGTH else "sha256"
    digest = hashlib.new(name, b"blob %d\0" % len(content), usedforsecurity=False)
    digest.update(content)
    return digest.hexdigest().encode("ascii")
