"""The past of a file that is now sealed: whether its plain text is in Git, where everyone with a clone can read it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from gatekeeper.errors import SealError, ToolError, UsageError
from gatekeeper.host import git_history, git_state
from gatekeeper.sops import sops_file

# More commits of one file are not looked through.
MAX_COMMITS = 200


def warn_about_history(plaintext_files: Sequence[Path]) -> None:
    """Tells on standard error which commit has a file in the clear, and whether the next one would."""
    # Standard input is in no history.
    here = [file for file in plaintext_files if str(file) != "-"]
    for folder in dict.fromkeys(file.absolute().parent for file in here):
        names = [file.name for file in here if file.absolute().parent == folder]
        known = git_history.find_ever_tracked(folder, names)
        for file in (file for file in here if file.absolute().parent == folder and file.name in known):
            _warn_file(file)


def _warn_file(plaintext_file: Path) -> None:
    first = next(
        (
            commit
            for commit in git_history.list_file_commits(plaintext_file)[:MAX_COMMITS]
            if _is_plain(plaintext_file, commit.sha)
        ),
        None,
    )
    if first:
        sys.stderr.write(
            f"warning: {plaintext_file} is in the clear in Git's history, first in commit "
            f"{first.sha[:12]} of {first.date}: "
            "who has the repository has the values; change them where they are used\n"
        )
    if _is_staged_plain(plaintext_file):
        sys.stderr.write(f"warning: {plaintext_file} is in Git's index in the clear; --replace takes it out\n")


def replace_in_index(plaintext_file: Path, sealed_file: Path) -> None:
    """Takes a plain file out of Git's index, and puts the sealed one in. The file itself stays where it is.

    Raises:
        SealError: Git does not do it.
    """
    if plaintext_file.resolve() != sealed_file.resolve():
        try:
            if git_state.is_tracked(plaintext_file):
                git_state.untrack_file(plaintext_file)
        except ToolError as error:
            raise SealError(
                f"{plaintext_file}: Git does not take it out of its index; run `git rm --cached {plaintext_file}`"
            ) from error
        sys.stderr.write(
            f"{plaintext_file}: no longer in Git's index; the file itself is still there, delete it or ignore it\n"
        )
    try:
        git_state.add_file(sealed_file)
    except (ToolError, UsageError) as error:
        raise SealError(
            f"{sealed_file}: Git does not take it into its index; is it in a repository, and not ignored?"
        ) from error


def _is_plain(file: Path, commit: str) -> bool:
    content = git_history.read_file_at_commit(file.absolute().parent, commit, file.name)
    return content is not None and not _is_sealed(file, content)


def _is_staged_plain(file: Path) -> bool:
    content = git_state.read_staged_file(file.absolute().parent, file.name)
    return content is not None and not _is_sealed(file, content)


def _is_sealed(file: Path, content: bytes) -> bool:
    return b"SealedSecret" in content or sops_file.is_sops_file(file.name, content)
