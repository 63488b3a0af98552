"""A folder as a store, for a laptop or a demo: a file is a secret, and its path below the folder is the key."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from gatekeeper.secret_value import Hidden
from gatekeeper.stores.protocol import Missing, Outcome, Query, StoreError, Wish, matcher

MOST_BYTES = 4 * 1024 * 1024
SUFFIXES = ("", ".json", ".txt")


class Directory:
    """The files below a folder. `production/db` is the file of that name, or with the ending `.json` or `.txt`."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise StoreError(f"{folder}: is no folder")
        self._folder = folder.resolve()
        self._calls = 0

    @property
    def calls(self) -> int:
        """How many files were read."""
        return self._calls

    def read(self, wishes: Sequence[Wish]) -> list[Outcome]:
        """See `Store.read`. Files have no versions and no metadata."""
        return [self._read(wish) for wish in wishes]

    def _read(self, wish: Wish) -> Outcome:
        if wish.version or wish.metadata:
            return StoreError(f"{wish}: a folder has no versions and no metadata")
        for suffix in SUFFIXES:
            path = self._folder / f"{wish.key.strip('/')}{suffix}"
            if not path.is_file():
                continue
            # A key is text from a manifest: it must not lead out of the folder.
            if not path.resolve().is_relative_to(self._folder):
                return StoreError(f"{wish}: leads out of the folder of the store")
            return self._content(path, wish)
        return Missing(f"{wish}: there is no such file in the folder of the store")

    def _content(self, path: Path, wish: Wish) -> Outcome:
        self._calls += 1
        try:
            if path.stat().st_size > MOST_BYTES:
                return StoreError(f"{wish}: larger than {MOST_BYTES >> 20} MB")
            return Hidden(path.read_bytes())
        except OSError as error:
            return StoreError(f"{wish}: cannot be read: {error.strerror or error}", may_pass=True)

    def find(self, query: Query) -> Mapping[str, Hidden]:
        """See `Store.find`."""
        if query.tags:
            raise StoreError("files have no tags")
        pattern = matcher(query.name)
        found: dict[str, Hidden] = {}
        start = self._folder / query.path.strip("/")
        if not start.resolve().is_relative_to(self._folder):
            raise StoreError(f"`{query.path}`: leads out of the folder of the store")
        for folder, _, names in sorted(os.walk(start)):
            for name in sorted(names):
                path = Path(folder) / name
                key = (
                    path.relative_to(self._folder)
                    .with_suffix("" if path.suffix in SUFFIXES else path.suffix)
                    .as_posix()
                )
                if pattern.search(key):
                    outcome = self._read(Wish(key))
                    if isinstance(outcome, StoreError):
                        raise outcome
                    found[key] = outcome
        return found

    def keep(self) -> bool:
        """See `Store.keep`."""
        return True

    def close(self) -> None:
        """Nothing is open."""
