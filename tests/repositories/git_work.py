"""GitRepositories and small repositories with a history, for tests of fetching."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from gatekeeper.host.memory_files import MemoryFiles
from gatekeeper.repositories import git_fetch, git_repository_spec, git_transport
from gatekeeper.repositories import revision as repositories_revision
from gatekeeper.repositories.git_repository_spec import GitRepository
from gatekeeper.repositories.revision import Revision
from gatekeeper.secret_value import SecretBytes

WHO = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def source(url: str = "https://example.com/r", **spec: Any) -> GitRepository:
    """A GitRepository with this URL."""
    value = {
        "apiVersion": f"source.toolkit.fluxcd.io/{spec.pop('version', 'v1')}",
        "kind": "GitRepository",
        "metadata": {"name": "r", "namespace": "flux-system"},
        "spec": {"interval": "1m", "url": url, **spec},
    }
    return git_repository_spec.parse_git_repository(value)


class Work:
    """A repository with a history, as a developer has it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, **more: str) -> str:
        command = ["git", "-C", str(self.root), *arguments]
        done = subprocess.run(command, env={**os.environ, **WHO, **more}, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, file: str = "a.yaml", text: str = "a: b\n", *more: str) -> str:
        (self.root / file).parent.mkdir(parents=True, exist_ok=True)
        (self.root / file).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", text, *more)
        return self.git("rev-parse", "HEAD")


def fetch(one: GitRepository, keys: dict[str, str], handed: MemoryFiles, folder: Path) -> tuple[Revision, Path]:
    """Fetches what a GitRepository means now: the revision, and the folder with its files."""
    way = git_transport.build_transport(
        one.url, {key: SecretBytes(text.encode()) for key, text in keys.items()}, handed
    )
    revision = repositories_revision.resolve_reference(one.ref, git_fetch.list_refs(one, way))
    return revision, git_fetch.checkout_commit(one, revision, way, folder)
