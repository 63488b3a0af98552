"""The files that builds of kustomizations read: listings of folders, and contents by digest, as they are sent."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterable
from pathlib import Path

# Where the program has the repository, and the own files of a build.
REPOSITORY, WRAPPER = "/repository", "/wrapper"
MAX_FILE_BYTES = 20 * 1024 * 1024
# A folder that a build asks for is sent with its files, up to this size of each.
SMALL_FILE_BYTES = 1024 * 1024
# Bytes of names that are not UTF-8 are sent as private-use characters, and decoded from these.
UNDECODABLE = {0xDC80 + number: 0x10F780 + number for number in range(0x80)}
DECODABLE = {value: key for key, value in UNDECODABLE.items()}


def encode_name(name: str) -> str:
    """A file name as text that JSON can hold."""
    return name if name.isascii() else name.translate(UNDECODABLE)


def decode_name(name: str) -> str:
    """The file name of a text from `encode_name`."""
    return name if name.isascii() else name.translate(DECODABLE)


class KustomizationFiles:
    """What was read of a repository so far, for builds. A file is read once.

    Attributes:
        contents: the contents of files by digest.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._folders: dict[str, dict[str, str]] = {}
        self._entries: dict[str, str] = {}
        self.contents: dict[str, bytes] = {}

    def list_folders(self, folders: Iterable[str], files: Iterable[str]) -> dict[str, dict[str, str]]:
        """The listings of folders and of all folders above them, with the digests of these files, by absolute path.

        Args:
            folders: relative to the repository's root.
            files: relative to the repository's root; those that are missing are left out.
        """
        needed = {""}
        files = set(files)
        for folder in (*folders, *(file.rpartition("/")[0] for file in files)):
            while folder not in needed and not folder.startswith(".."):
                needed.add(folder)
                folder = folder.rpartition("/")[0]
        listings = {folder: dict(listing) for folder in needed if (listing := self._list(folder)) is not None}
        for file in files:
            folder, _, name = file.rpartition("/")
            if listings.get(folder, {}).get(name) == "f":
                listings[folder][name] = self._read(file)
        return {
            encode_name(posixpath.join(REPOSITORY, folder) if folder else REPOSITORY): {
                encode_name(name): entry for name, entry in listing.items()
            }
            for folder, listing in listings.items()
        }

    def list_small_files(self, folder: str) -> list[str]:
        """The files of a folder that are sent with it."""
        listing = self._list(folder) or {}
        files = [f"{folder}/{name}".lstrip("/") for name, entry in listing.items() if entry == "f"]
        return [file for file in files if Path(self._root, file).stat().st_size <= SMALL_FILE_BYTES]

    def list_folders_below(self, folder: str) -> list[str]:
        """A folder and all folders below it; links are not followed."""
        folders = [folder] if self._list(folder) is not None else []
        for one in folders:
            folders += [f"{one}/{name}".lstrip("/") for name, entry in (self._list(one) or {}).items() if entry == "d"]
        return folders

    def _list(self, folder: str) -> dict[str, str] | None:
        """The entries of a folder; None if the path is not a folder, or goes through a link."""
        if folder in self._folders:
            return self._folders[folder]
        path, above = "", None
        for name in ("", *folder.split("/")) if folder else ("",):
            # Only a name that the folder above has as a folder leads on: `..` and links do not.
            if above is not None and above.get(name) != "d":
                return None
            path = f"{path}/{name}".lstrip("/")
            if path not in self._folders:
                # One folder with all its names: kustomize reads files that are no manifests, too.
                with os.scandir(f"{self._root}/{path}" if path else self._root) as entries:
                    self._folders[path] = {entry.name: self._describe(entry) for entry in entries}
            above = self._folders[path]
        return above

    def _describe(self, entry: os.DirEntry[str]) -> str:
        if entry.is_symlink():
            return f"l{encode_name(self._map_target(str(Path(entry.path).readlink())))}"
        if entry.is_dir():
            return "d"
        return "f" if entry.is_file() else "enot a file"

    def _map_target(self, target: str) -> str:
        """The target of a link; one that is absolute is below the root, or leads nowhere."""
        if not target.startswith("/"):
            return target
        real = os.path.realpath(target)
        inside = real == self._root or real.startswith(f"{self._root}/")
        return f"{REPOSITORY}{real.removeprefix(self._root)}" if inside else "/outside"

    def _read(self, file: str) -> str:
        """The entry of a file with the digest of its content, or with the reason why it cannot be read."""
        if file not in self._entries:
            self._entries[file] = self._read_content(Path(self._root, file))
        return self._entries[file]

    def _read_content(self, path: Path) -> str:
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                return f"elarger than {MAX_FILE_BYTES >> 20} MB"
            content = path.read_bytes()
        except OSError as error:
            return f"e{(error.strerror or 'cannot be read').lower()}"
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        self.contents[digest] = content
        return f"f{digest}"
