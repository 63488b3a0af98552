"""Pulling a repository with the real git: what it has, and the files of one commit, each commit once.

Nothing of the user's own Git is used: no configuration, no credentials, no hooks. What is secret reaches git through
files in memory or its environment, and never through an argument. Source: source-controller
`docs/spec/v1/gitrepositories.md` (secret reference, excluding files, verification), fluxcd/pkg `sourceignore`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from gatekeeper.errors import ToolError
from gatekeeper.host import process
from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.repositories import git_transport, submodules
from gatekeeper.repositories.git_repository_spec import GitReference, GitRepository
from gatekeeper.repositories.git_transport import NONEXISTENT_HOME, GitTransport
from gatekeeper.repositories.revision import Revision

# What Flux leaves out where nothing else is said.
DEFAULT_EXCLUDES = (
    ".git/",
    ".gitignore",
    ".gitmodules",
    ".gitattributes",
    "*.jpg",
    "*.jpeg",
    "*.gif",
    "*.png",
    "*.wmv",
    "*.flv",
    "*.tar.gz",
    "*.zip",
    ".github/",
    ".circleci/",
    ".travis.yml",
    ".gitlab-ci.yml",
    "appveyor.yml",
    ".drone.yml",
    "cloudbuild.yaml",
    "codeship-services.yml",
    "codeship-steps.yml",
    "**/.goreleaser.yml",
    "**/.sops.yaml",
    "**/.flux.yaml",
)
SOURCE_IGNORE_FILE = ".sourceignore"
MIRROR_NAME = "mirror.git"
# Where a link that led out of the repository leads now.
BROKEN_LINK_TARGET = f"{NONEXISTENT_HOME}/leads-out-of-the-repository"
DAY_SECONDS = 24 * 3600.0
# What git says, and what that means.
ERROR_MEANINGS = (
    ("could not read Username", "wants a name and a password: name a Secret in `secretRef`"),
    ("Authentication failed", "refuses the name and password of the Secret"),
    ("The requested URL returned error: 403", "refuses who asks (403)"),
    ("Permission denied", "refuses the key of the Secret"),
    ("Host key verification failed", "shows another host key than `known_hosts` has"),
    ("not found", "has no such repository"),
    ("does not appear to be a git repository", "has no such repository"),
    ("SSL certificate problem", "has a certificate that nobody vouches for: put `ca.crt` into the Secret"),
    ("Could not resolve host", "is not known by this name"),
)


def list_refs(source: GitRepository, transport: GitTransport) -> dict[str, str]:
    """The names of a repository and their commits: all that an unchanged one is asked.

    Raises:
        ToolError: it does not answer, or refuses; in words that repeat nothing of what it said.
    """
    out = run_git(source, transport, Path(os.sep), "ls-remote", "--quiet", "--", source.url)
    found = {}
    for line in out.decode("utf-8", "replace").splitlines():
        commit, _, name = line.partition("\t")
        found[name] = commit
    return found


def checkout_commit(
    source: GitRepository, revision: Revision, transport: GitTransport, folder: Path, mirror: Path | None = None
) -> Path:
    """The files of a commit, in a folder of its own below another; there already, or fetched.

    Args:
        mirror: what the commit was fetched into already; None where it was not.

    Raises:
        ToolError: it cannot be had.
    """
    target = folder / revision.commit
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    mirror = mirror or fetch_mirror(source, revision, transport, folder)
    scratch = Path(tempfile.mkdtemp(prefix="new-", dir=folder))
    try:
        index = {"GIT_INDEX_FILE": str(scratch / ".index")}
        work = (f"--git-dir={mirror}", f"--work-tree={scratch}")
        run_git(
            source,
            transport,
            scratch,
            *work,
            "checkout",
            "--force",
            revision.commit,
            "--",
            ".",
            extra_environment=index,
        )
        (scratch / ".index").unlink(missing_ok=True)
        if source.sparse_folders:
            _apply_sparse_checkout(source, scratch)
        if source.has_submodules:
            _add_submodules(source, transport, scratch, mirror, revision.commit, submodules.MAX_DEPTH)
        for name in () if source.is_whole else _list_ignored(source, transport, scratch, mirror):
            (scratch / name).unlink(missing_ok=True)
        break_outside_links(scratch)
        scratch.replace(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _remove_old_checkouts(folder, target)
    return target


def _apply_sparse_checkout(source: GitRepository, scratch: Path) -> None:
    """Leaves of a commit the folders that are wanted, and what lies in its root."""
    wanted = [scratch / folder.strip("/") for folder in source.sparse_folders]
    for folder in wanted:
        if not folder.is_dir() or not folder.resolve().is_relative_to(scratch.resolve()):
            raise ToolError(f"{source.url}: `sparseCheckout` {folder.name} is no folder of it")
    for path, names, files in os.walk(scratch, topdown=False):
        here = Path(path)
        is_kept = here == scratch or any(here.is_relative_to(one) for one in wanted)
        for name in () if is_kept else (*files, *(one for one in names if (here / one).is_symlink())):
            (here / name).unlink()
        if not is_kept and not any(here.iterdir()):
            here.rmdir()


def _add_submodules(
    source: GitRepository, transport: GitTransport, scratch: Path, mirror: Path, commit: str, depth: int
) -> None:
    """Puts the submodules of a commit into it, and theirs into them."""
    where = (f"--git-dir={mirror}",)
    found = list(submodules.list_submodules(source, partial(run_git, source, transport, mirror, *where), commit))
    if len(found) > submodules.MAX_SUBMODULES or (found and not depth):
        raise ToolError(
            f"{source.url}: has more than {submodules.MAX_SUBMODULES} submodules, or they lie too deep in each other"
        )
    for one in found:
        with closing(MemoryFiles()) as handed:
            theirs = (
                transport
                if submodules.is_on_same_host(source, one)
                else git_transport.build_transport(one.url, {}, handed)
            )
            other = GitRepository(
                source.namespace,
                source.name,
                one.url,
                GitReference(commit=one.commit),
                timeout=source.timeout,
                is_whole=True,
            )
            folder = mirror.parent.parent / hashlib.sha256(f"submodule {one.url}".encode()).hexdigest()[:16]
            folder.mkdir(parents=True, exist_ok=True)
            revision = Revision("", one.commit, one.commit)
            own = fetch_mirror(other, revision, theirs, folder)
            files = checkout_commit(other, revision, theirs, folder, own)
            submodules.copy_submodule(scratch, one, files)
            _add_submodules(other, theirs, scratch / one.path, own, one.commit, depth - 1)


def break_outside_links(root: Path) -> None:
    """Lets no link lead out of a repository: else whoever writes there reads what only we may, as a file of his own."""
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            path = Path(folder) / name
            if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
                path.unlink()
                path.symlink_to(BROKEN_LINK_TARGET)


def _remove_old_checkouts(folder: Path, current: Path) -> None:
    """Removes commits that were pulled more than a day ago; somebody may still be reading a younger one."""
    for other in folder.iterdir():
        if other != current and other.name != MIRROR_NAME and time.time() - other.stat().st_mtime > DAY_SECONDS:
            shutil.rmtree(other, ignore_errors=True)


def fetch_mirror(source: GitRepository, revision: Revision, transport: GitTransport, folder: Path) -> Path:
    """A bare repository that has a commit.

    Raises:
        ToolError: the commit cannot be had, or is not on the branch that is named with it.
    """
    mirror = folder / MIRROR_NAME
    if not mirror.is_dir():
        run_git(source, transport, folder, "init", "--quiet", "--bare", str(mirror))
    at = (f"--git-dir={mirror}",)
    is_pinned = revision.fetch_ref.startswith("refs/heads/") and source.ref.commit
    depth = () if is_pinned else ("--depth=1",)
    run_git(
        source, transport, mirror, *at, "fetch", "--quiet", "--no-tags", *depth, "--", source.url, revision.fetch_ref
    )
    try:
        run_git(source, transport, mirror, *at, "cat-file", "-e", f"{revision.commit}^{{commit}}")
        if is_pinned:
            run_git(source, transport, mirror, *at, "merge-base", "--is-ancestor", revision.commit, "FETCH_HEAD")
    except ToolError:
        raise ToolError(
            f"{source.url}: {revision.commit} is not on `{revision.ref_name or revision.fetch_ref}`"
        ) from None
    return mirror


def _list_ignored(source: GitRepository, transport: GitTransport, scratch: Path, mirror: Path) -> list[str]:
    """The files that are left out: by `.sourceignore` files, and by what the source says, or else the usual."""
    usual = DEFAULT_EXCLUDES if source.ignore is None else (".git/",)
    # What is named on the command line counts more than what stands in a folder.
    own = [] if source.ignore is None else [f"--exclude={line}" for line in source.ignore.splitlines() if line.strip()]
    lists = scratch / ".usual"
    lists.write_text("\n".join(usual) + "\n", encoding="utf-8")
    work = (f"--git-dir={mirror}", f"--work-tree={scratch}")
    out = run_git(
        source,
        transport,
        scratch,
        *work,
        "ls-files",
        "-z",
        "--others",
        "--ignored",
        f"--exclude-from={lists}",
        f"--exclude-per-directory={SOURCE_IGNORE_FILE}",
        *own,
        extra_environment={"GIT_INDEX_FILE": str(scratch / ".none")},
    )
    lists.unlink()
    return [name for name in out.decode("utf-8", "surrogateescape").split("\0") if name and name != lists.name]


def run_git(
    source: GitRepository,
    transport: GitTransport,
    folder: Path,
    *arguments: str,
    extra_environment: Mapping[str, str] | None = None,
) -> bytes:
    """What git says, run in a folder.

    Raises:
        ToolError: it fails, or takes too long; in words that repeat nothing of what it said.
    """
    guard = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "advice.detachedHead=false")
    command = ["git", *guard, *arguments]
    environment = {**transport.environment, **(extra_environment or {})}
    advice = "raise the `timeout` of the GitRepository"
    code, out, words = process.run_command(
        command, source.timeout, folder, None, environment, allow_network=True, advice=advice
    )
    if code != 0:
        meaning = next((meaning for phrase, meaning in ERROR_MEANINGS if phrase in words), "")
        raise ToolError(
            f"{source.url} {meaning}" if meaning else f"{source.url}: git {_find_subcommand(arguments)} fails"
        )
    return out


def _find_subcommand(arguments: tuple[str, ...]) -> str:
    return next(word for word in arguments if not word.startswith("-"))
