"""A file is written whole or not at all; who may read it stays, and a link stays a link."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gatekeeper.host import atomic_file


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_file_permissions_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "secret.yaml"
    path.write_text("old")
    path.chmod(0o640)
    atomic_file.write(path, b"new")
    assert (path.read_text(), mode(path)) == ("new", 0o640)
    atomic_file.write(path, b"newer", 0o600)
    assert mode(path) == 0o600


def test_a_new_file_is_as_the_mask_has_it(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic_file.write(tmp_path / "new", b"")
    finally:
        os.umask(before)
    assert mode(tmp_path / "new") == 0o640


def test_write_follows_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    atomic_file.write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"


def test_failed_write_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        atomic_file.write(path, b"new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
