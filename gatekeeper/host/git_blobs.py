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
    for end in (b"\0", b"/"):
        position = listing.find(b"\t" + path + end)
        while position >= 0:
            start = listing.rfind(b"\0", 0, position) + 1
            attributes, _, name = listing[start : listing.index(b"\0", position)].partition(b"\t")
            # With another tab before it, this is in the middle of a longer name.
            if start + len(attributes) == position:
                _, mode, digest, _ = attributes.split(b" ")
                yield name, digest if mode.startswith(b"100") else b""
            position = listing.find(b"\t" + path + end, position + 1)


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
