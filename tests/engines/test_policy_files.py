"""Policy files: each failure is an error with the name of the file, never an empty policy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.engines import policy_files
from gatekeeper.errors import PolicyError


def test_a_file_below_the_root_is_named_from_there(tmp_path: Path) -> None:
    assert policy_files.format_name(tmp_path / "a" / "b.rego", tmp_path) == "a/b.rego"
    assert policy_files.format_name(Path("/etc/b.rego"), tmp_path) == "/etc/b.rego"


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"^p/none\.rego: cannot be read: No such file"):
        policy_files.read_text(tmp_path / "none.rego", "p/none.rego")
    with pytest.raises(PolicyError, match="cannot be read: Is a directory"):
        policy_files.read_bytes(tmp_path, "p")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * ((1 << 20) + 1))
    assert len(policy_files.read_bytes(tmp_path / "a", "a", (1 << 20) + 1)) == (1 << 20) + 1
    with pytest.raises(PolicyError, match="a: larger than 1 MB"):
        policy_files.read_bytes(tmp_path / "a", "a", 1 << 20)


def test_a_text_that_is_not_utf_8_is_an_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"ab\xff")
    with pytest.raises(PolicyError, match="not UTF-8 at byte 2"):
        policy_files.read_text(tmp_path / "a", "a")


@pytest.mark.parametrize("parse", [policy_files.parse_documents, policy_files.parse_values, policy_files.parse_mapping])
def test_content_that_is_not_yaml_is_an_error_with_its_line(parse: Callable[[bytes, str], Any]) -> None:
    with pytest.raises(PolicyError, match=r"^p\.yaml:2:\d+: not valid YAML or JSON"):
        parse(b"a: 1\nb: ]\n", "p.yaml")


@pytest.mark.parametrize("content", [b"", b"- 1", b"text", b"null", b"7"])
def test_a_document_that_is_no_mapping_is_an_error(content: bytes) -> None:
    with pytest.raises(PolicyError, match="must be a mapping at its top level"):
        policy_files.parse_mapping(content, "p.yaml")
    assert policy_files.parse_mapping(b"a: 1\n---\nb: 2\n", "p.yaml") == {"a": 1}
    assert policy_files.parse_values(b"a: 1\n---\nb: 2\n", "p.yaml") == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_text_in_another_encoding_is_named(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a").write_bytes("package a\n".encode(encoding))
    with pytest.raises(PolicyError, match="a: cannot be read: UTF-16 or UTF-32; save it in UTF-8"):
        policy_files.read_text(tmp_path / "a", "a")
