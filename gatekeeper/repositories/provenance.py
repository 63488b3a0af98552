"""The provenance of a commit: its author, its signer, and the pull request that its message names."""

from __future__ import annotations

import re
from pathlib import Path

from gatekeeper.errors import ToolError
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.repositories import git_fetch
from gatekeeper.repositories.git_fetch import MIRROR_NAME
from gatekeeper.repositories.git_repository_spec import GitRepository
from gatekeeper.repositories.git_transport import GitTransport

# The merge messages of GitHub, Gitea and GitLab.
PULL_REQUEST = re.compile(r"Merge pull request (#\d+)|\((#\d+)\)\s*(?:\n|$)|See merge request (?:\S*)(!\d+)")


class CommitProvenance(NamedTuple):
    """The provenance of a commit; unknown fields are empty.

    Attributes:
        author: name and e-mail address.
        signer: fingerprint of the key of its verified signature.
        pull_request: `#12` or `!12`.
    """

    author: str = ""
    signer: str = ""
    pull_request: str = ""


def read_provenance(source: GitRepository, transport: GitTransport, root: Path, signer: str = "") -> CommitProvenance:
    """The provenance of the commit that is checked out into a folder.

    Args:
        signer: fingerprint of the key of its verified signature; empty for none.
    """
    mirror, commit = root.parent / MIRROR_NAME, root.name.partition("-")[0]
    try:
        output = git_fetch.run_git(
            source, transport, mirror, f"--git-dir={mirror}", "log", "-1", "--format=%an <%ae>%n%B", commit
        )
    except ToolError:
        # Its mirror was removed.
        return CommitProvenance("", signer)
    author, _, message = output.decode("utf-8", "replace").partition("\n")
    match = PULL_REQUEST.search(message)
    pull_request = next(filter(None, match.groups()), "") if match else ""
    return CommitProvenance(author.strip(), signer, pull_request)
