"""Fetches Git repositories with the git program: the list of references, and the files of each commit once.

Configuration, credentials and hooks of the user are not used. Secrets reach git through files in memory or its
environment, never through an argument. Source: source-controller
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

# The files that Flux excludes by default.
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
# The target of a link that led out of the repository.
BROKEN_LINK_TARGET = f"{NONEXISTENT_HOME}/leads-out-of-the-repository"
DAY_SECONDS = 24 * 3600.0
# A phrase of git, and the message for readers.
ERROR_MEANINGS = (
    ("could not read Username", "requires a user name and password: name a Secret in `secretRef`"),
    ("Authentication failed", "rejects the user name and password of the Secret"),
    ("The requested URL returned error: 403", "denies access (403): check the Secret"),
    ("Permission denied", "rejects the key of the Secret"),
    ("Host key verification failed", "has a host key that is not in `known_hosts`"),
    ("not found", "repository not found: check the URL"),
    ("does not appear to be a git repository", "repository not found: check the URL"),
    ("SSL certificate problem", "has a certificate that is not trusted: add `ca.crt` to the Secret"),
    ("Could not resolve host", "host name not found"),
)


def list_refs(source: GitRepository, transport: GitTransport) -> dict[str, str]:
    """The references of a repository, and their commits; an unchanged repository needs no other request.

    Raises:
        ToolError: the server refuses, or does not answer; the message repeats nothing of its answer.
    """
    output = run_git(source, transport, Path(os.sep), "ls-remote", "--quiet", "--", source.url)
    refs = {}
    for line in output.decode("utf-8", "replace").splitlines():
        commit, _, name = line.partition("\t")
        refs[name] = commit
    return refs


def checkout_commit(
    source: GitRepository, revision: Revision, transport: GitTransport, folder: Path, mirror: Path | None = None
) -> Path:
    """The folder with the files of a commit, below another folder; fetched if it does not exist.

    Args:
        mirror: the bare repository that has the commit already; None to fetch it.

    Raises:
        ToolError: the commit cannot be fetched.
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
            _add_submodules(source, transport, scratch, mirror, revision.commit, depth=submodules.MAX_DEPTH)
        for name in () if source.is_whole else _list_ignored(source, transport, scratch, mirror):
            (scratch / name).unlink(missing_ok=True)
        break_outside_links(scratch)
        scratch.replace(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _remove_old_checkouts(folder, target)
    return target


def _apply_sparse_checkout(source: GitRepository, scratch: Path) -> None:
    """Removes everything but the folders of `sparseCheckout`, and the files in the root."""
    kept_folders = [scratch / folder.strip("/") for folder in source.sparse_folders]
    for folder in kept_folders:
        if not folder.is_dir() or not folder.resolve().is_relative_to(scratch.resolve()):
            raise ToolError(f"{source.url}: `sparseCheckout` {folder.name} is not a folder of the repository")
    # Bottom up, because emptied folders are removed; `tree.list_files_below` lists files only.
    for path, names, files in os.walk(scratch, topdown=False):
        here = Path(path)
        is_kept = here == scratch or any(here.is_relative_to(folder) for folder in kept_folders)
        links = [name for name in names if (here / name).is_symlink()]
        for name in () if is_kept else (*files, *links):
            (here / name).unlink()
        if not is_kept and not any(here.iterdir()):
            here.rmdir()


def _add_submodules(
    source: GitRepository, transport: GitTransport, scratch: Path, mirror: Path, commit: str, *, depth: int
) -> None:
    """Adds the submodules of a commit to its files, recursively."""
    run = partial(run_git, source, transport, mirror, f"--git-dir={mirror}")
    listed = list(submodules.list_submodules(source, run, commit))
    if len(listed) > submodules.MAX_SUBMODULES or (listed and not depth):
        raise ToolError(
            f"{source.url}: more than {submodules.MAX_SUBMODULES} submodules, or nested deeper than "
            f"{submodules.MAX_DEPTH} levels"
        )
    for submodule in listed:
        with closing(MemoryFiles()) as files:
            # Credentials are sent to no other host.
            is_trusted = submodules.is_on_same_host(source, submodule)
            own_transport = transport if is_trusted else git_transport.build_transport(submodule.url, {}, files)
            other = GitRepository(
                source.namespace,
                source.name,
                submodule.url,
                GitReference(commit=submodule.commit),
                timeout=source.timeout,
                is_whole=True,
            )
            folder = mirror.parent.parent / hashlib.sha256(f"submodule {submodule.url}".encode()).hexdigest()[:16]
            folder.mkdir(parents=True, exist_ok=True)
            revision = Revision("", submodule.commit, submodule.commit)
            own_mirror = fetch_mirror(other, revision, own_transport, folder)
            root = checkout_commit(other, revision, own_transport, folder, own_mirror)
            submodules.copy_submodule(scratch, submodule, root)
            inside = scratch / submodule.path
            _add_submodules(other, own_transport, inside, own_mirror, submodule.commit, depth=depth - 1)


def break_outside_links(root: Path) -> None:
    """Breaks links that lead out of a repository, so that its authors cannot read files of this machine."""
    # Links to folders and links to nowhere count, too, which `tree.list_files_below` does not list.
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            path = Path(folder) / name
            if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
                path.unlink()
                path.symlink_to(BROKEN_LINK_TARGET)


def _remove_old_checkouts(folder: Path, current: Path) -> None:
    """Removes checkouts older than a day; a younger one may still be in use."""
    for other in folder.iterdir():
        if other != current and other.name != MIRROR_NAME and time.time() - other.stat().st_mtime > DAY_SECONDS:
            shutil.rmtree(other, ignore_errors=True)


def fetch_mirror(source: GitRepository, revision: Revision, transport: GitTransport, folder: Path) -> Path:
    """A bare repository that has a commit.

    Raises:
        ToolError: the commit cannot be fetched, or is not on the branch that is named with it.
    """
    mirror = folder / MIRROR_NAME
    if not mirror.is_dir():
        run_git(source, transport, folder, "init", "--quiet", "--bare", str(mirror))
    git_dir = f"--git-dir={mirror}"
    is_pinned = revision.fetch_ref.startswith("refs/heads/") and source.ref.commit
    depth = () if is_pinned else ("--depth=1",)
    run_git(
        source,
        transport,
        mirror,
        git_dir,
        "fetch",
        "--quiet",
        "--no-tags",
        *depth,
        "--",
        source.url,
        revision.fetch_ref,
    )
    try:
        run_git(source, transport, mirror, git_dir, "cat-file", "-e", f"{revision.commit}^{{commit}}")
        if is_pinned:
            run_git(source, transport, mirror, git_dir, "merge-base", "--is-ancestor", revision.commit, "FETCH_HEAD")
    except ToolError:
        raise ToolError(
            f"{source.url}: {revision.commit} is not on `{revision.ref_name or revision.fetch_ref}`"
        ) from None
    return mirror


def _list_ignored(source: GitRepository, transport: GitTransport, scratch: Path, mirror: Path) -> list[str]:
    """The files that `.sourceignore` files, and `ignore` of the source or the default list, exclude."""
    patterns = DEFAULT_EXCLUDES if source.ignore is None else (".git/",)
    # git gives patterns on the command line precedence over files.
    own = [] if source.ignore is None else [f"--exclude={line}" for line in source.ignore.splitlines() if line.strip()]
    default_file = scratch / ".usual"
    default_file.write_text("\n".join(patterns) + "\n", encoding="utf-8")
    work = (f"--git-dir={mirror}", f"--work-tree={scratch}")
    output = run_git(
        source,
        transport,
        scratch,
        *work,
        "ls-files",
        "-z",
        "--others",
        "--ignored",
        f"--exclude-from={default_file}",
        f"--exclude-per-directory={SOURCE_IGNORE_FILE}",
        *own,
        extra_environment={"GIT_INDEX_FILE": str(scratch / ".none")},
    )
    default_file.unlink()
    return [
        name for name in output.decode("utf-8", "surrogateescape").split("\0") if name and name != default_file.name
    ]


def run_git(
    source: GitRepository,
    transport: GitTransport,
    folder: Path,
    *arguments: str,
    extra_environment: Mapping[str, str] | None = None,
) -> bytes:
    """The output of git, run in a folder.

    Raises:
        ToolError: git fails, or takes too long; the message repeats nothing of its output.
    """
    disarmed = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "advice.detachedHead=false")
    command = ["git", *disarmed, *arguments]
    environment = {**transport.environment, **(extra_environment or {})}
    advice = "raise the `timeout` of the GitRepository"
    code, output, error_text = process.run_command(
        command, source.timeout, folder, None, environment, allow_network=True, advice=advice
    )
    if code != 0:
        meaning = next((meaning for phrase, meaning in ERROR_MEANINGS if phrase in error_text), "")
        raise ToolError(
            f"{source.url}: {meaning}" if meaning else f"{source.url}: git {_find_subcommand(arguments)} failed"
        )
    return output


def _find_subcommand(arguments: tuple[str, ...]) -> str:
    return next(word for word in arguments if not word.startswith("-"))
