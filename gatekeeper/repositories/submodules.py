"""The submodules of a commit, each at its recorded commit.

The authors of a repository choose the URLs: credentials are sent to no host but that of the repository itself.
Source: `gitmodules(5)`; source-controller `docs/spec/v1/gitrepositories.md` (recurse submodules).
"""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from gatekeeper.errors import ToolError
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.repositories.git_repository_spec import REPOSITORY_URL, GitRepository

MODULES_FILE = ".gitmodules"
MAX_SUBMODULES, MAX_DEPTH = 64, 8
GITLINK_MODE = "160000"
# Runs git with some arguments in the repository of the commit; returns its output.
GitRunner = Callable[..., bytes]


class Submodule(NamedTuple):
    """A commit of another repository, and the folder that its files are copied to."""

    path: str
    url: str
    commit: str


def list_submodules(source: GitRepository, run_git: GitRunner, commit: str) -> Iterator[Submodule]:
    """The submodules of a commit.

    Args:
        run_git: runs in a repository that has the commit.

    Raises:
        ToolError: a submodule is not described in `.gitmodules`, or its URL is not allowed.
    """
    links = dict(_parse_links(run_git("ls-tree", "-r", "-z", commit)))
    if not links:
        return
    urls = _parse_modules(run_git("show", f"{commit}:{MODULES_FILE}"))
    for path, linked_commit in links.items():
        url = urls.get(path)
        if url is None:
            raise ToolError(f"{source.url}: the submodule `{path}` is missing in {MODULES_FILE}")
        yield Submodule(path, _resolve_url(source.url, url), linked_commit)


def _parse_links(tree_listing: bytes) -> Iterator[tuple[str, str]]:
    for line in tree_listing.decode("utf-8", "surrogateescape").split("\0"):
        head, _, path = line.partition("\t")
        if head.startswith(f"{GITLINK_MODE} "):
            yield path, head.split()[2]


def _parse_modules(text: bytes) -> Mapping[str, str]:
    """URLs by path, from a file in the format of a Git configuration."""
    urls, section = dict[str, str](), dict[str, str]()
    for raw in [*text.decode("utf-8", "replace").splitlines(), "[end]"]:
        line = raw.strip()
        if line.startswith("["):
            if "path" in section and "url" in section:
                urls[section["path"]] = section["url"]
            section = {}
        elif "=" in line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            section[key.strip().lower()] = value.strip().strip('"')
    return urls


def _resolve_url(base: str, url: str) -> str:
    """The absolute URL of a submodule; `../other` is relative to the repository.

    Raises:
        ToolError: the URL is not allowed.
    """
    if url.startswith(("./", "../")):
        scheme, _, rest = base.partition("://")
        host, _, path = rest.partition("/")
        joined = posixpath.normpath(posixpath.join(f"/{path}", url))
        return f"{scheme}://{host}{joined}"
    # A remote repository must not read files of this machine.
    if not REPOSITORY_URL.fullmatch(url) or (url.startswith("file:") and not base.startswith("file:")):
        raise ToolError(f"{base}: the URL {url} of a submodule is not allowed: use https, http or ssh")
    return url


def is_on_same_host(source: GitRepository, submodule: Submodule) -> bool:
    """Whether a submodule is on the host of the repository, so that it may get the same credentials."""
    own, other = urlsplit(source.url), urlsplit(submodule.url)
    return (own.scheme, own.netloc) == (other.scheme, other.netloc)


def copy_submodule(scratch: Path, submodule: Submodule, files: Path) -> None:
    """Copies the files of a submodule to its folder.

    Raises:
        ToolError: the folder is not inside the repository.
    """
    target = (scratch / submodule.path).resolve()
    if not target.is_relative_to(scratch.resolve()) or target == scratch.resolve():
        raise ToolError(f"the submodule `{submodule.path}` leads out of the repository")
    shutil.copytree(files, target, symlinks=True, dirs_exist_ok=True)
