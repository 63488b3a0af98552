"""Temporary files for certificates and keys."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gatekeeper.errors import ToolError
from gatekeeper.host import memory_files
from gatekeeper.host.memory_files import MemoryFiles


def test_files_are_private_and_removed_on_close() -> None:
    files = MemoryFiles()
    paths = [Path(files.write_file(name, b"content", name == "key.pem")) for name in ("key.pem", "ca.pem")]
    assert [path.read_bytes() for path in paths] == [b"content"] * 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert paths[0].is_relative_to(memory_files.MEMORY_DIR)
    files.close()
    assert not any(path.parent.exists() for path in paths)


def test_a_private_key_is_not_written_to_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_files, "MEMORY_DIR", tmp_path / "missing")
    with pytest.raises(ToolError, match="missing is not writable, and a private key is never written to a disk"):
        MemoryFiles().write_file("key.pem", b"secret", True)
    assert list(tmp_path.iterdir()) == []
