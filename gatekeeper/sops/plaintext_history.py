"""A search for the plaintext of encrypted files in Git: in earlier commits and in the index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from gatekeeper.errors import SecretFileError, ToolError, UsageError
from gatekeeper.host import git_history, git_state
from gatekeeper.sops import sops_file

# The search covers this number of commits of a file.
MAX_COMMITS = 200


def find_warnings(plaintext_files: Sequence[Path]) -> list[str]:
    """Return a warning for each commit or index that holds a file unencrypted.

    Args:
        plaintext_files: the files before encryption; `-` for standard input, which Git never holds.

    Raises:
        ToolError: Git fails, so that the history is unknown.
    """
    warnings: list[str] = []
    files = [file for file in plaintext_files if str(file) != "-"]
    for folder in dict.fromkeys(file.absolute().parent for file in files):
        files_here = [file for file in files if file.absolute().parent == folder]
        tracked_names = git_history.find_ever_tracked(folder, [file.name for file in files_here])
        for file in files_here:
            if file.name in tracked_names:
                warnings.extend(_find_file_warnings(file))
    return warnings


def _find_file_warnings(plaintext_file: Path) -> Iterator[str]:
    commits = git_history.list_file_commits(plaintext_file)[:MAX_COMMITS]
    commit = next((commit for commit in commits if _is_plain(plaintext_file, commit.sha)), None)
    if commit is not None:
        yield (
            f"{plaintext_file} is unencrypted in the Git history, first in commit {commit.sha[:12]} of {commit.date}: "
            "anyone with access to the repository can read its values; change them where they are used"
        )
    if _is_staged_plain(plaintext_file):
        yield f"{plaintext_file} is unencrypted in the Git index; --replace removes it"


def replace_in_index(plaintext_file: Path, sealed_file: Path) -> str:
    """Remove a plaintext file from the Git index and add the encrypted one; the files themselves stay.

    Returns:
        What the user must know about the plaintext file; empty if both are the same file.

    Raises:
        SecretFileError: Git cannot remove or add a file.
    """
    note = ""
    if plaintext_file.resolve() != sealed_file.resolve():
        try:
            if git_state.is_tracked(plaintext_file):
                git_state.untrack_file(plaintext_file)
        except ToolError as error:
            raise SecretFileError(
                f"{plaintext_file}: Git cannot remove it from the index; run `git rm --cached {plaintext_file}`"
            ) from error
        note = f"{plaintext_file}: no longer in the Git index; the file itself still exists: delete it or ignore it"
    try:
        git_state.add_file(sealed_file)
    except (ToolError, UsageError) as error:
        raise SecretFileError(
            f"{sealed_file}: Git cannot add it to the index; check that it is in a repository and not ignored"
        ) from error
    return note


def _is_plain(file: Path, commit: str) -> bool:
    content = git_history.read_file_at_commit(file.absolute().parent, commit, file.name)
    return content is not None and not _is_encrypted(file, content)


def _is_staged_plain(file: Path) -> bool:
    content = git_state.read_staged_file(file.absolute().parent, file.name)
    return content is not None and not _is_encrypted(file, content)


def _is_encrypted(file: Path, content: bytes) -> bool:
    return b"SealedSecret" in content or sops_file.is_sops_file(file.name, content)
