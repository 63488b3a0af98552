"""Files of other repositories put into a commit, as `spec.include` of a GitRepository says.

Source: source-controller `docs/spec/v1/gitrepositories.md` (include).
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gatekeeper.errors import ToolError
from gatekeeper.repositories import git_fetch
from gatekeeper.repositories.git_repository_spec import RepositoryInclude

# Stands between a commit and what was put into it, in the name of a folder.
FOLDER_MARK = "-with-"


class IncludedCheckout(NamedTuple):
    """A checkout, and what of it comes in where."""

    include: RepositoryInclude
    root: Path


def merge_includes(root: Path, parts: Sequence[IncludedCheckout]) -> Path:
    """A checkout with the files of others in it, in a folder of its own beside; there already, or made.

    Raises:
        ToolError: a path is not there, or leads out.
    """
    if not parts:
        return root
    mark = hashlib.sha256(repr([(one.include, one.root.name) for one in parts]).encode()).hexdigest()[:16]
    target = root.parent / f"{root.name}{FOLDER_MARK}{mark}"
    if target.is_dir():
        return target
    scratch = Path(tempfile.mkdtemp(prefix="new-", dir=root.parent))
    try:
        shutil.copytree(root, scratch, symlinks=True, dirs_exist_ok=True)
        for one in parts:
            source = _resolve_within(
                one.root, one.include.from_path, f"`fromPath` {one.include.from_path} of {one.include.repository_name}"
            )
            if not source.is_dir():
                raise ToolError(f"`fromPath` {one.include.from_path} is no folder of {one.include.repository_name}")
            there = _resolve_within(scratch, one.include.to_path, f"`toPath` {one.include.to_path}")
            shutil.copytree(source, there, symlinks=True, dirs_exist_ok=True)
        # A link that stayed within its own repository may lead out of this one.
        git_fetch.break_outside_links(scratch)
        scratch.replace(target)
    except shutil.Error as error:
        raise ToolError(f"what is included cannot be copied: {len(error.args[0])} files") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _resolve_within(root: Path, path: str, subject: str) -> Path:
    """A path below a folder, through no link that leads out of it."""
    found = (root / path).resolve()
    if not found.is_relative_to(root.resolve()):
        raise ToolError(f"{subject} leads out of the repository")
    return found
