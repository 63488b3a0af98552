"""Helpers of the tests of `gatekeeper.host`: small Git repositories, made with the real Git."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

IDENTITY = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com"), ("DATE", "2026-03-01T12:00:00+00:00"))
}


def run_git(root: Path, *arguments: str) -> str:
    """Runs the real Git in a folder; its output."""
    return subprocess.run(
        ["git", "-C", root, *arguments], check=True, capture_output=True, text=True, env={**os.environ, **IDENTITY}
    ).stdout


def commit_files(root: Path, files: Mapping[str, str], message: str = "change") -> Path:
    """Writes files, and commits everything in a repository, which is made first if there is none."""
    root.mkdir(parents=True, exist_ok=True)
    if not (root / ".git").exists():
        run_git(root, "init", "--quiet", "--initial-branch=main")
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    run_git(root, "add", "--all")
    run_git(root, "commit", "--quiet", "--message", message)
    return root
