"""Reads the files of a policy bundle from a folder, an archive, or a Git revision; caches fetched bundles."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from gatekeeper.engines import policy_files
from gatekeeper.errors import PolicyError
from gatekeeper.host import git_export
from gatekeeper.host.cache import user_cache_dir
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.workspace.tree import list_files_below

GIT_PREFIX = "git+"
ARCHIVE_SUFFIXES = (".tar.gz", ".tgz")
MAX_BYTES = 50 * 1024 * 1024
MAX_FILES = 10_000
DIGEST_PREFIX = "sha256:"
# Contents by file name, relative to the root of the bundle.
BundleFiles = Mapping[str, bytes]


class Bundle(NamedTuple):
    """A bundle as the config names it: its source, its digest, and the file of the public key that signed it."""

    source: str
    digest: str
    key: str

    @property
    def is_archive(self) -> bool:
        """Whether the bundle is an OPA bundle file."""
        return self.source.endswith(ARCHIVE_SUFFIXES)

    @property
    def is_git(self) -> bool:
        """Whether the bundle is a revision of a Git repository."""
        return self.source.startswith(GIT_PREFIX)


def compute_digest(files: BundleFiles) -> str:
    """Computes a digest of names and contents, in the order of names."""
    whole = hashlib.sha256()
    for name in sorted(files):
        content = hashlib.sha256(files[name]).hexdigest()
        whole.update(f"{content}  {name}\n".encode("utf-8", "surrogateescape"))
    return f"{DIGEST_PREFIX}{whole.hexdigest()}"


def compute_file_digest(content: bytes) -> str:
    """Computes the digest of an archive."""
    return f"{DIGEST_PREFIX}{hashlib.sha256(content).hexdigest()}"


def read_folder(folder: Path, name: str) -> BundleFiles:
    """Reads all files below a folder, except those of Git itself; `name` is its name in messages.

    Raises:
        PolicyError: the folder does not exist, or a file cannot be read.
    """
    if not folder.is_dir():
        raise PolicyError(f"{name}: no such folder; correct `policies.bundles`")
    paths = list_files_below(folder)
    return {path.relative_to(folder).as_posix(): read_file(path, name) for path in sorted(paths)}


def read_file(path: Path, name: str) -> bytes:
    """Reads one file; `name` is the name of the bundle in messages.

    Raises:
        PolicyError: the file cannot be read, or is too large.
    """
    return policy_files.read_bytes(path, name, MAX_BYTES)


def unpack(content: bytes, name: str) -> dict[str, bytes]:
    """Unpacks a tar archive in memory; `name` is the name of the bundle in messages.

    Raises:
        PolicyError: the archive is damaged or too large, or a path leads out of it.
    """
    # Only a bundle that is not in the cache needs it.
    import tarfile

    files: dict[str, bytes] = {}
    size = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:*") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                size += member.size
                if size > MAX_BYTES or len(files) >= MAX_FILES:
                    raise PolicyError(f"{name}: contains more than {MAX_BYTES >> 20} MB or {MAX_FILES} files")
                path = PurePosixPath(member.name.lstrip("/"))
                if ".." in path.parts:
                    raise PolicyError(f"{name}: the path `{member.name}` leads out of the archive")
                file = archive.extractfile(member)
                files[path.as_posix()] = file.read() if file else b""
    except (tarfile.TarError, EOFError, OSError) as error:
        raise PolicyError(f"{name}: not a valid bundle archive: {error}") from error
    return files


def read_git_revision(root: Path, bundle: Bundle, should_fetch: bool) -> BundleFiles:
    """Reads the files of `git+REPOSITORY@REVISION`, or of one of its folders: `git+REPOSITORY@REVISION//FOLDER`.

    Raises:
        PolicyError: the source is malformed, the revision does not exist or has no files, or it must be fetched and
            `should_fetch` is false.
    """
    repository, _, revision = bundle.source.removeprefix(GIT_PREFIX).rpartition("@")
    revision, _, folder = revision.partition("//")
    if not repository or not revision:
        examples = "git+../policies@v1.2.0 or git+https://host/x.git@v1//folder"
        raise PolicyError(f"{bundle.source}: must look like {examples}")
    local = (root / repository).resolve()
    if local.is_dir():
        content = git_export.archive_revision(local, revision)
    elif should_fetch:
        content = git_export.fetch_archive(repository, revision)
    else:
        raise PolicyError(
            f"{bundle.source}: not in the cache, and `check` fetches nothing; run `gatekeeper policy pull` first"
        )
    if content is None:
        hint = "check the names of the repository and the revision, and the access to the repository"
        raise PolicyError(f"{bundle.source}: Git cannot read this revision; {hint}")
    files = _select_folder(unpack(content, bundle.source), folder)
    if not files:
        raise PolicyError(f"{bundle.source}: contains no files")
    return files


def _select_folder(files: BundleFiles, folder: str) -> BundleFiles:
    prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
    return {name.removeprefix(prefix): content for name, content in files.items() if name.startswith(prefix)}


def find_cached(bundle: Bundle) -> Path | None:
    """Finds the cached folder of a bundle; None if there is none, or if its files do not have the digest."""
    folder = _get_cached_path(bundle.digest)
    is_intact = folder.is_dir() and compute_digest(read_folder(folder, bundle.source)) == bundle.digest
    return folder if is_intact else None


def store_in_cache(files: BundleFiles, digest: str) -> Path:
    """Writes a bundle to the cache and returns its folder; other processes see all files or none.

    Raises:
        PolicyError: the cache cannot be written.
    """
    # Only a bundle that is not in the cache needs it.
    import tempfile

    target = _get_cached_path(digest)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            new = Path(scratch) / "new"
            for name, content in files.items():
                path = new / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            if target.exists():
                target.rename(Path(scratch) / "old")
            new.rename(target)
    except OSError as error:
        raise PolicyError(f"{target.parent}: the bundle cannot be cached: {error.strerror or error}") from error
    return target


def _get_cached_path(digest: str) -> Path:
    return user_cache_dir() / "bundles" / digest.removeprefix(DIGEST_PREFIX)
