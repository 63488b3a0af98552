"""`spec.include` of a GitRepository: copies files of other repositories into a checkout.

Source: source-controller `docs/spec/v1/gitrepositories.md` (include).
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gatekeeper.errors import ToolError
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.repositories import git_fetch
from gatekeeper.repositories.git_repository_spec import RepositoryInclude

# In the name of a folder, between the commit and the digest of what it includes.
FOLDER_MARK = "-with-"


class IncludedCheckout(NamedTuple):
    """The checkout of an included repository."""

    include: RepositoryInclude
    root: Path


def merge_includes(root: Path, parts: Sequence[IncludedCheckout]) -> Path:
    """The folder with the files of a checkout and of those that it includes; built if it does not exist.

    Args:
        root: the checkout; its folder is the result where nothing is included.

    Raises:
        ToolError: a path does not exist, or leads out of its repository.
    """
    if not parts:
        return root
    mark = hashlib.sha256(repr([(part.include, part.root.name) for part in parts]).encode()).hexdigest()[:16]
    target = root.parent / f"{root.name}{FOLDER_MARK}{mark}"
    if target.is_dir():
        return target
    scratch = Path(tempfile.mkdtemp(prefix="new-", dir=root.parent))
    try:
        shutil.copytree(root, scratch, symlinks=True, dirs_exist_ok=True)
        for part in parts:
            repository, from_path, to_path = part.include
            source = _resolve_within(part.root, from_path, f"`fromPath` {from_path} of {repository}")
            if not source.is_dir():
                raise ToolError(f"`fromPath` {from_path} is not a folder of {repository}")
            target_folder = _resolve_within(scratch, to_path, f"`toPath` {to_path}")
            shutil.copytree(source, target_folder, symlinks=True, dirs_exist_ok=True)
        # A link inside its own repository may lead out of this folder.
        git_fetch.break_outside_links(scratch)
        scratch.replace(target)
    except shutil.Error as error:
        raise ToolError(f"`spec.include`: {len(error.args[0])} files cannot be copied") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _resolve_within(root: Path, path: str, subject: str) -> Path:
    """The real path below a folder.

    Raises:
        ToolError: the path leads out of the folder.
    """
    resolved = (root / path).resolve()
    if not resolved.is_relative_to(root.resolve()):
        raise ToolError(f"{subject} leads out of the repository")
    return resolved
