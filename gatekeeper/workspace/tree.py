"""The files of a run, with their content, and the listing of folders that the user names."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NoReturn

from gatekeeper.model import Gap, Location, ParsedDocument
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.workspace.text_encoding import decode_marked_utf16

MAX_FILE_BYTES = 20 * 1024 * 1024
# This much content is kept in memory for the next reader; other files are read again.
CACHE_BYTES = 64 * 1024 * 1024
READ_CHUNK_BYTES = 1 << 13
# Fewer files are read faster one by one.
MIN_READ_AHEAD, READ_AHEAD_FILES = 64, 2000
GIT_FOLDER = ".git"
# Parts that name no entry of a folder.
ALIAS_PARTS = frozenset(("", ".", ".."))
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
FileRole = Literal["documents", "helm template", "template", "encrypted", "unreadable", "other"]


class ParsedFile(NamedTuple):
    """A parsed file: its documents, or the reason why it has none.

    Attributes:
        is_utf16: whether it is written in UTF-16.
    """

    file: str
    role: FileRole
    documents: tuple[ParsedDocument, ...] = ()
    reason: str = ""
    error_location: Location | None = None
    is_utf16: bool = False

    @property
    def folder(self) -> str:
        """The folder of the file, empty for the root."""
        return self.file.rpartition("/")[0]


class Tree:
    """The files of a run, relative to the repository's root and sorted; each is read once.

    Attributes:
        gaps: files that were found and are not read.
        is_whole: whether these are all files of the repository.
        links: the targets of those files that are symbolic links.
        utf16_files: those of the files read so far that are UTF-16.
    """

    __slots__ = (
        "_contents",
        "_free_bytes",
        "_real_folders",
        "files",
        "gaps",
        "is_whole",
        "links",
        "root",
        "utf16_files",
    )

    def __init__(
        self,
        root: Path,
        files: Sequence[str],
        gaps: Sequence[Gap] = (),
        is_whole: bool = False,
        links: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.root = root
        self.files = tuple(files)
        self.gaps = tuple(gaps)
        self.is_whole = is_whole
        self.links = links
        self._contents: dict[str, bytes] = {}
        self._free_bytes = CACHE_BYTES
        self._real_folders: dict[str, str] = {}
        self.utf16_files: set[str] = set()

    def select_files(self, predicate: Callable[[str], bool]) -> Tree:
        """A tree of some of the files."""
        part = Tree(self.root, [file for file in self.files if predicate(file)], self.gaps, self.is_whole, self.links)
        part._contents, part.utf16_files, part._real_folders = self._contents, self.utf16_files, self._real_folders
        return part

    def find_real_path(self, path: str) -> str | None:
        """The path by which the tree has what a path through symbolic links leads to; None outside of the root.

        What is missing has the path that it would have.
        """
        folder, _, name = path.rpartition("/")
        real = f"{self._find_real_folder(folder)}/{name}".rstrip("/")
        own_name = self._find_relative(real)
        # A link that is read has its own name in the tree.
        if own_name is None or own_name in self.links or not _is_link(real):
            return own_name
        return self._find_relative(os.path.realpath(real))

    def is_folder(self, path: str) -> bool:
        """Whether a path leads to a folder; what no path can be, such as one with a name that is too long, does not."""
        with suppress(OSError):
            return Path(f"{self.root}/{path}").is_dir()
        return False

    def is_file(self, path: str) -> bool:
        """Whether a path leads to a file; see `is_folder`."""
        with suppress(OSError):
            return Path(f"{self.root}/{path}").is_file()
        return False

    def _find_real_folder(self, folder: str) -> str:
        real = self._real_folders.get(folder)
        if real is None:
            self._real_folders[folder] = real = self._resolve_folder(folder)
        return real

    def _resolve_folder(self, folder: str) -> str:
        """The real path of a folder. Folders share those above them, each of which is looked up once."""
        parts = folder.split("/")
        if not ALIAS_PARTS.isdisjoint(parts):
            return os.path.realpath(f"{self.root}/{folder}")
        path, real = "", self._find_real_folder("")
        for part in parts:
            path = f"{path}/{part}" if path else part
            known = self._real_folders.get(path)
            if known is None:
                real = f"{real.rstrip('/')}/{part}"
                known = os.path.realpath(f"{self.root}/{path}") if _is_link(real) else real
                self._real_folders[path] = known
            real = known
        return real

    def _find_relative(self, real_path: str) -> str | None:
        root = self._find_real_folder("").rstrip("/")
        return real_path[len(root) + 1 :] if f"{real_path}/".startswith(f"{root}/") else None

    def read_ahead(self, files: Sequence[str], read: Callable[[Sequence[str]], Sequence[bytes | None]]) -> None:
        """Reads small files into memory, many at once; `read_file` reads what this leaves.

        Args:
            read: returns the content of each file, or None.
        """
        if len(files) < MIN_READ_AHEAD:
            return
        for start in range(0, len(files), READ_AHEAD_FILES):
            part = files[start : start + READ_AHEAD_FILES]
            for file, content in zip(part, read(part), strict=True):
                if content is None or content[:2] in UTF16_MARKS or file in self._contents:
                    continue
                if len(content) > self._free_bytes:
                    return
                self._free_bytes -= len(content)
                self._contents[file] = content

    def read_file(self, file: str) -> bytes | Gap:
        """The content of a file, or a fatal gap with the reason why it cannot be read.

        UTF-16 with a byte order mark is returned as UTF-8.
        """
        cached = self._contents.get(file)
        if cached is not None:
            return cached
        try:
            content = _read_limited(f"{self.root}/{file}")
        except OSError as error:
            return Gap(file, f"cannot be read: {error.strerror or error}", is_fatal=True)
        if content is None:
            return Gap(
                file, f"larger than {MAX_FILE_BYTES >> 20} MB: not read; list it under `files.exclude`", is_fatal=True
            )
        if content[:2] in UTF16_MARKS and (text := decode_marked_utf16(content)) is not None:
            self.utf16_files.add(file)
            content = text
        if len(content) <= self._free_bytes:
            self._free_bytes -= len(content)
            self._contents[file] = content
        return content


def _is_link(path: str) -> bool:
    with suppress(OSError):
        return Path(path).is_symlink()
    return False


def _read_limited(path: str) -> bytes | None:
    """The content of a file; None if it is too large. Three system calls for most files."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        content = os.read(descriptor, READ_CHUNK_BYTES)
        if len(content) == READ_CHUNK_BYTES:
            if os.fstat(descriptor).st_size > MAX_FILE_BYTES:
                return None
            with os.fdopen(os.dup(descriptor), "rb") as rest:
                content += rest.read(MAX_FILE_BYTES)
        return content
    finally:
        os.close(descriptor)


def list_files_below(start: Path, suffixes: tuple[str, ...] = ("",)) -> list[Path]:
    """The files below a folder that the user names, such as policies, sorted; for a file, the file itself.

    Links to files are listed, links to folders are not followed, and `.git` is left out. Neither `files.exclude` nor
    `.gitignore` counts here. A path that does not exist has no files.

    Args:
        suffixes: list only files whose names end with one of these.

    Raises:
        OSError: a folder cannot be read.
    """
    if start.is_file():
        return [start]
    listed: list[Path] = []
    for folder, folders, names in os.walk(start, onerror=_raise_error if start.exists() else None):
        folders[:] = [name for name in folders if name != GIT_FOLDER]
        listed.extend(Path(folder, name) for name in names if name.endswith(suffixes))
    # Links that lead nowhere, pipes and sockets are not files.
    return sorted(path for path in listed if path.is_file())


def _raise_error(error: OSError) -> NoReturn:
    raise error
