"""Copies of the files of a Git repository: of its index, of a commit, or of a revision of another repository."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gatekeeper.errors import ToolError, UsageError
from gatekeeper.host.git_command import NotARepositoryError, run_git


@contextmanager
def checkout_index(root: Path) -> Iterator[Path]:
    """A temporary folder with the files of the index, as the next commit has them.

    Raises:
        NotARepositoryError: there is no Git repository.
        ToolError: Git cannot write its index out.
    """
    prefix = run_git(root, "rev-parse", "--show-prefix").output
    # Few runs read the files of a commit or of the index.
    import tempfile

    with tempfile.TemporaryDirectory(prefix="gatekeeper-index-") as scratch:
        folder = Path(scratch).resolve()
        run_git(root, "checkout-index", "--all", "--force", f"--prefix={folder}/")
        yield _make_inner_folder(folder, prefix)


@contextmanager
def checkout_commit(root: Path, commit: str) -> Iterator[Path]:
    """A temporary folder with the files of a commit.

    Raises:
        NotARepositoryError: there is no Git repository.
        ToolError: Git cannot write the commit out.
    """
    prefix = run_git(root, "rev-parse", "--show-prefix").output
    # Few runs read the files of a commit or of the index.
    import tempfile

    with tempfile.TemporaryDirectory(prefix="gatekeeper-commit-") as scratch:
        folder = Path(scratch).resolve()
        listing, files = folder / "index", folder / "files"
        run_git(root, "read-tree", f"--index-output={listing}", commit, index_file=folder / "new")
        run_git(root, "checkout-index", "--all", "--force", f"--prefix={files}/", index_file=listing)
        yield _make_inner_folder(files, prefix)


def _make_inner_folder(folder: Path, prefix: bytes) -> Path:
    """The folder of a copy that has the place of the caller's folder; it is made if the copy has no files there."""
    inner = folder / prefix.decode("utf-8", "surrogateescape").removesuffix("\n")
    inner.mkdir(parents=True, exist_ok=True)
    return inner


def archive_revision(repository: Path, revision: str) -> bytes | None:
    """The files of a revision as a tar archive; None if Git does not give it."""
    if revision.startswith("-"):
        return None
    try:
        return run_git(repository, "archive", "--format=tar", revision).output
    except (UsageError, ToolError):
        return None


def fetch_archive(url: str, revision: str) -> bytes | None:
    """The files of a revision of a repository elsewhere, as a tar archive; None if it cannot be fetched."""
    if url.startswith("-") or revision.startswith("-"):
        return None
    # Few runs read the files of a commit or of the index.
    import tempfile

    with tempfile.TemporaryDirectory(prefix="gatekeeper-fetch-") as scratch:
        folder = Path(scratch)
        try:
            run_git(folder, "init", "--quiet", "--bare")
            run_git(folder, "fetch", "--quiet", "--depth=1", "--no-tags", url, revision, allow_network=True)
            return run_git(folder, "archive", "--format=tar", "FETCH_HEAD").output
        except (NotARepositoryError, ToolError):
            return None
