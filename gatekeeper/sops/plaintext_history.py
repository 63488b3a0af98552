"""The past of a file that is now sealed: whether its plain text is in Git, where everyone with a clone can read it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from gatekeeper.errors import SealError
from gatekeeper.host import git
from gatekeeper.sops import sops_file

# More commits of one file are not looked through.
MOST_COMMITS = 200


def warn(plain: Sequence[Path]) -> None:
    """Tells on standard error which commit has a file in the clear, and whether the next one would."""
    # Standard input is in no history.
    here = [file for file in plain if str(file) != "-"]
    for folder in dict.fromkeys(file.absolute().parent for file in here):
        names = [file.name for file in here if file.absolute().parent == folder]
        known = git.ever_had(folder, names)
        for file in (file for file in here if file.absolute().parent == folder and file.name in known):
            _warn(file)


def _warn(plain: Path) -> None:
    first = next((commit for commit in git.past(plain)[:MOST_COMMITS] if _is_plain(plain, commit.name)), None)
    if first:
        sys.stderr.write(
            f"warning: {plain} is in the clear in Git's history, first in commit {first.name[:12]} of {first.date}: "
            "who has the repository has the values; change them where they are used\n"
        )
    if _is_staged_plain(plain):
        sys.stderr.write(f"warning: {plain} is in Git's index in the clear; --replace takes it out\n")


def replace(plain: Path, sealed: Path) -> None:
    """Takes a plain file out of Git's index, and puts the sealed one in. The file itself stays where it is.

    Raises:
        SealError: Git does not do it.
    """
    if plain.resolve() != sealed.resolve():
        if git.is_tracked(plain) and not git.untrack(plain):
            raise SealError(f"{plain}: Git does not take it out of its index; run `git rm --cached {plain}`")
        sys.stderr.write(f"{plain}: no longer in Git's index; the file itself is still there, delete it or ignore it\n")
    if not git.add(sealed):
        raise SealError(f"{sealed}: Git does not take it into its index; is it in a repository, and not ignored?")


def _is_plain(file: Path, commit: str) -> bool:
    content = git.file_at(file.absolute().parent, commit, file.name)
    return content is not None and not _is_sealed(file, content)


def _is_staged_plain(file: Path) -> bool:
    content = git.staged_file(file.absolute().parent, file.name)
    return content is not None and not _is_sealed(file, content)


def _is_sealed(file: Path, content: bytes) -> bool:
    return b"SealedSecret" in content or sops_file.is_sops(file.name, content)
