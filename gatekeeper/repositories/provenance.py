"""Whom a commit is owed to: who wrote it, who signed it, and by which pull request it came, as its message says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from gatekeeper.errors import ToolError
from gatekeeper.repositories import git_fetch
from gatekeeper.repositories.git_fetch import MIRROR_NAME
from gatekeeper.repositories.git_repository_spec import GitRepository
from gatekeeper.repositories.git_transport import GitTransport

# As GitHub, Gitea and GitLab write it when they merge.
PULL_REQUEST = re.compile(r"Merge pull request (#\d+)|\((#\d+)\)\s*(?:\n|$)|See merge request (?:\S*)(!\d+)")


class CommitProvenance(NamedTuple):
    """Whom a commit is owed to; what is not known is empty.

    Attributes:
        author: name and address.
        signer: the fingerprint of the key that it was found to be signed with.
        pull_request: the pull request, `#12` or `!12`.
    """

    author: str = ""
    signer: str = ""
    pull_request: str = ""


def read_provenance(source: GitRepository, transport: GitTransport, root: Path, signer: str = "") -> CommitProvenance:
    """Whom the commit that was checked out into a folder is owed to.

    Args:
        signer: as it was verified.
    """
    mirror, commit = root.parent / MIRROR_NAME, root.name.partition("-")[0]
    try:
        out = git_fetch.run_git(
            source, transport, mirror, f"--git-dir={mirror}", "log", "-1", "--format=%an <%ae>%n%B", commit
        )
    except ToolError:
        # Its repository is not there any more.
        return CommitProvenance("", signer)
    author, _, message = out.decode("utf-8", "replace").partition("\n")
    found = PULL_REQUEST.search(message)
    return CommitProvenance(author.strip(), signer, next((one for one in found.groups() if one), "") if found else "")
