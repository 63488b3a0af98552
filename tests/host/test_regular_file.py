"""Files with fixed names: only regular files are read, and nothing waits."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from gatekeeper.host.regular_file import read_regular_file


def test_a_file_and_a_link_to_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a" * 100_000)
    (tmp_path / "link").symlink_to("file")
    assert read_regular_file(tmp_path / "file") == read_regular_file(tmp_path / "link") == b"a" * 100_000


def test_what_is_no_file_is_an_error_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    messages = {}
    for name in ("pipe", "folder", "loop", "zero", "socket", "missing"):
        with pytest.raises(OSError) as raised:
            read_regular_file(tmp_path / name)
        messages[name] = raised.value.strerror
    assert messages == {
        "pipe": "not a regular file",
        "folder": "Is a directory",
        "loop": "Too many levels of symbolic links",
        "zero": "not a regular file",
        "socket": "No such device or address",
        "missing": "No such file or directory",
    }
