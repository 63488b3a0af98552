"""Submodules of a commit, each at the commit that is noted for it, and those within them.

Whoever writes a repository names others: credentials go to no other host than the repository's own.
Source: `gitmodules(5)`; source-controller `docs/spec/v1/gitrepositories.md` (recurse submodules).
"""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from gatekeeper.errors import ToolError
from gatekeeper.repositories.git_repository_spec import REPOSITORY_URL, GitRepository

MODULES_FILE = ".gitmodules"
MAX_SUBMODULES, MAX_DEPTH = 64, 8
GITLINK_MODE = "160000"
# Runs git with some words in the repository of a commit, and gives what it says.
GitRunner = Callable[..., bytes]


class Submodule(NamedTuple):
    """Another repository, and where a commit of it comes to stand."""

    path: str
    url: str
    commit: str


def list_submodules(source: GitRepository, run_git: GitRunner, commit: str) -> Iterator[Submodule]:
    """The submodules of a commit.

    Args:
        run_git: runs in a repository that has the commit.

    Raises:
        ToolError: one is not described, or is where it must not be.
    """
    links = dict(_parse_links(run_git("ls-tree", "-r", "-z", commit)))
    if not links:
        return
    described = _parse_modules(run_git("show", f"{commit}:{MODULES_FILE}")) if links else {}
    for path, wanted in links.items():
        url = described.get(path)
        if url is None:
            raise ToolError(f"{source.url}: the submodule `{path}` is not described in {MODULES_FILE}")
        yield Submodule(path, _resolve_url(source.url, url), wanted)


def _parse_links(tree_listing: bytes) -> Iterator[tuple[str, str]]:
    for line in tree_listing.decode("utf-8", "surrogateescape").split("\0"):
        head, _, path = line.partition("\t")
        if head.startswith(f"{GITLINK_MODE} "):
            yield path, head.split()[2]


def _parse_modules(text: bytes) -> Mapping[str, str]:
    """Addresses by path, out of a file as Git's own configuration has it."""
    found, section = {}, dict[str, str]()
    for raw in [*text.decode("utf-8", "replace").splitlines(), "[end]"]:
        line = raw.strip()
        if line.startswith("["):
            if "path" in section and "url" in section:
                found[section["path"]] = section["url"]
            section = {}
        elif "=" in line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            section[key.strip().lower()] = value.strip().strip('"')
    return found


def _resolve_url(base: str, url: str) -> str:
    """An address as the repository means it: `../other` is beside it."""
    if url.startswith(("./", "../")):
        scheme, _, rest = base.partition("://")
        host, _, path = rest.partition("/")
        joined = posixpath.normpath(posixpath.join(f"/{path}", url))
        return f"{scheme}://{host}{joined}"
    # Of a repository from elsewhere nothing of this machine is read.
    if not REPOSITORY_URL.fullmatch(url) or (url.startswith("file:") and not base.startswith("file:")):
        raise ToolError(f"{base}: the submodule {url} is at no address that is followed")
    return url


def is_on_same_host(source: GitRepository, submodule: Submodule) -> bool:
    """Whether a submodule is at the host of the repository, which may be shown the same credentials."""
    own, other = urlsplit(source.url), urlsplit(submodule.url)
    return (own.scheme, own.netloc) == (other.scheme, other.netloc)


def copy_submodule(scratch: Path, submodule: Submodule, files: Path) -> None:
    """Puts the files of a submodule where it is to stand.

    Raises:
        ToolError: that is not within the repository.
    """
    there = (scratch / submodule.path).resolve()
    if not there.is_relative_to(scratch.resolve()) or there == scratch.resolve():
        raise ToolError(f"the submodule `{submodule.path}` leads out of the repository")
    shutil.copytree(files, there, symlinks=True, dirs_exist_ok=True)
