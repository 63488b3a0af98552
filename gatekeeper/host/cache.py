"""Results of earlier runs, kept in the user's cache folder and authenticated with a key of the user.

Every entry has a MAC; an entry that was damaged, moved, or written by another user is ignored. File names are digests
under the same key, so they do not show what was checked.
`GATEKEEPER_CACHE` names another folder, or `off`; `GATEKEEPER_CACHE_KEY` another key, for a cache that machines share.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gatekeeper.host import atomic_file
from gatekeeper.host.regular_file import read_regular_file

MAC_BYTES = 32
MIN_KEY_LENGTH = 16
MAX_CACHE_BYTES = 256 * 1024 * 1024
# The last digit of the keys after whose entries the folder is cleaned: one of eight.
KEYS_THAT_CLEAN = ("0", "8")
DISABLED = "off"


class Cache:
    """A folder of authenticated entries, by key.

    Args:
        installation_id: identifies the installed version of Gatekeeper; entries of other ones are ignored.
    """

    def __init__(self, folder: Path, secret: bytes, installation_id: bytes) -> None:
        self.folder = folder
        self._secret = hashlib.blake2b(installation_id, key=secret[:64], digest_size=32).digest()

    def __repr__(self) -> str:
        return f"Cache({self.folder})"

    def derive_key(self, parts: Iterable[bytes]) -> str:
        """A digest of some parts, in hexadecimal; other parts have another digest."""
        digest = hashlib.blake2b(key=self._secret, digest_size=24)
        for part in parts:
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
        return digest.hexdigest()

    def read_entry(self, key: str) -> bytes | None:
        """The content of an entry; None if there is none, or if it is not what this user wrote."""
        try:
            entry = read_regular_file(self._entry_path(key))
        except OSError:
            return None
        content = entry[MAC_BYTES:]
        return content if hmac.compare_digest(entry[:MAC_BYTES], self._compute_mac(key, content)) else None

    def write_entry(self, key: str, content: bytes) -> None:
        """Writes an entry; if the folder cannot be written, nothing is kept."""
        path = self._entry_path(key)
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            atomic_file.write(path, self._compute_mac(key, content) + content)
            # Reading the folder takes longer than writing an entry.
            if key.endswith(KEYS_THAT_CLEAN):
                self._remove_oldest()

    def _compute_mac(self, key: str, content: bytes) -> bytes:
        # Twice as fast as HMAC with SHA-256; with a key it is a MAC (RFC 7693).
        mac = hashlib.blake2b(key.encode() + b"\0", key=self._secret, digest_size=MAC_BYTES)
        mac.update(content)
        return mac.digest()

    def _entry_path(self, key: str) -> Path:
        return self.folder / key[:2] / key

    def _remove_oldest(self) -> None:
        """Deletes the oldest entries once the folder is too large."""
        entries = []
        for path in self.folder.glob("??/*"):
            # Another run may have deleted it in the meantime.
            with suppress(OSError):
                entries.append((path.stat().st_mtime, path.stat().st_size, path))
        room = MAX_CACHE_BYTES
        for _, size, path in sorted(entries, reverse=True):
            room -= size
            if room < 0:
                path.unlink(missing_ok=True)


def open_cache(installation_id: bytes) -> Cache | None:
    """The user's cache; None if it is off, or if no private key can be kept."""
    custom_folder = os.environ.get("GATEKEEPER_CACHE", "")
    if custom_folder == DISABLED:
        return None
    folder = Path(custom_folder) if custom_folder else user_cache_dir() / "verdicts"
    shared_key = os.environ.get("GATEKEEPER_CACHE_KEY", "")
    secret = (
        shared_key.encode()
        if len(shared_key) >= MIN_KEY_LENGTH
        else _load_secret(_find_user_dir("XDG_CONFIG_HOME", ".config") / "cache.key")
    )
    return Cache(folder, secret, installation_id) if secret else None


def user_cache_dir() -> Path:
    """The folder of Gatekeeper below the user's cache folder: tools, bundles, artifacts and verdicts."""
    return _find_user_dir("XDG_CACHE_HOME", ".cache")


def _find_user_dir(variable: str, default: str) -> Path:
    try:
        return Path(os.environ.get(variable) or Path.home() / default) / "gatekeeper"
    except RuntimeError:
        # A user without a home, as in some containers. No folder can be below this one, so nothing is kept.
        return Path(os.devnull) / "gatekeeper"


def _load_secret(path: Path) -> bytes | None:
    """The user's key, created at first use; None if other users could read it."""
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Two first runs at once must use one key: only one of them creates the file.
            with suppress(FileExistsError):
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as new:
                    new.write(os.urandom(MAC_BYTES))
        status = path.stat()
        is_private = status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o077
        key = read_regular_file(path) if is_private else b""
    except OSError:
        return None
    return key if len(key) == MAC_BYTES else None
