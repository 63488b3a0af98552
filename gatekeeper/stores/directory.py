"""A folder as a store, for development: a file is a secret, and its path below the folder is the key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.protocol import (
    FetchOutcome,
    SecretNotFoundError,
    SecretQuery,
    SecretRef,
    StoreError,
    compile_name_pattern,
)
from gatekeeper.workspace.tree import list_files_below

MAX_FILE_BYTES = 4 * 1024 * 1024
SUFFIXES = ("", ".json", ".txt")


class DirectoryStore:
    """The files below a folder: `production/db` is the file of that name, or with the suffix `.json` or `.txt`.

    Raises:
        StoreError: the path is not a folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise StoreError(f"{folder}: not a folder")
        self._folder = folder.resolve()
        self._request_count = 0

    @property
    def request_count(self) -> int:
        """The number of files read so far."""
        return self._request_count

    def fetch(self, refs: Sequence[SecretRef]) -> list[FetchOutcome]:
        """See `Store.fetch`. Files have no versions and no metadata."""
        return [self._fetch_one(ref) for ref in refs]

    def _fetch_one(self, ref: SecretRef) -> FetchOutcome:
        if ref.version or ref.is_metadata:
            return StoreError(f"{ref}: a folder has no versions and no metadata")
        for suffix in SUFFIXES:
            path = self._folder / f"{ref.key.strip('/')}{suffix}"
            if not path.is_file():
                continue
            # The key comes from a manifest: it must not lead out of the folder.
            if not path.resolve().is_relative_to(self._folder):
                return StoreError(f"{ref}: leads out of the folder of the store")
            return self._read_file(path, ref)
        return SecretNotFoundError(f"{ref}: the folder of the store has no such file")

    def _read_file(self, path: Path, ref: SecretRef) -> FetchOutcome:
        self._request_count += 1
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                return StoreError(f"{ref}: larger than {MAX_FILE_BYTES >> 20} MB")
            return SecretBytes(path.read_bytes())
        except OSError as error:
            return StoreError(f"{ref}: cannot be read: {error.strerror or error}", is_transient=True)

    def find(self, query: SecretQuery) -> Mapping[str, SecretBytes]:
        """See `Store.find`.

        Raises:
            StoreError: the query has tags or a path outside the folder, or a file cannot be read.
        """
        if query.tags:
            raise StoreError("a folder has no tags: remove `find.tags`")
        pattern = compile_name_pattern(query.name)
        start = self._folder / query.path.strip("/")
        if not start.resolve().is_relative_to(self._folder):
            raise StoreError(f"`{query.path}`: leads out of the folder of the store")
        values: dict[str, SecretBytes] = {}
        for file in _list_files(start):
            path = file.relative_to(self._folder)
            key = path.with_suffix("" if path.suffix in SUFFIXES else path.suffix).as_posix()
            if pattern.search(key):
                outcome = self._fetch_one(SecretRef(key))
                if isinstance(outcome, StoreError):
                    raise outcome
                values[key] = outcome
        return values

    def renew_session(self) -> bool:
        """See `Store.renew_session`: a folder needs no session."""
        return True

    def close(self) -> None:
        """See `Store.close`: nothing is open."""


def _list_files(start: Path) -> list[Path]:
    """The files below a folder of the store; raises StoreError for a folder that cannot be read."""
    try:
        return list_files_below(start) if start.is_dir() else []
    except OSError as error:
        raise StoreError(f"{error.filename}: cannot be read: {error.strerror or error}", is_transient=True) from error
