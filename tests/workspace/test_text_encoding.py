"""UTF-16 and UTF-32 become UTF-8; binary content does not."""

from __future__ import annotations

import codecs
import os

import pytest

from gatekeeper.workspace.text_encoding import convert_to_utf8

TEXT = "first line\r\ntoken = für 日本 𝄞\n"
MARKS = {
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


@pytest.mark.parametrize("encoding", MARKS)
def test_text_with_a_mark_is_converted(encoding: str) -> None:
    assert convert_to_utf8(MARKS[encoding] + TEXT.encode(encoding)) == TEXT.encode()
    assert convert_to_utf8(MARKS[encoding]) == b""


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_ascii_text_in_utf16_is_known_without_a_mark(encoding: str) -> None:
    assert convert_to_utf8("token = für\n".encode(encoding)) == "token = für\n".encode()


@pytest.mark.parametrize(
    "tail", [b"x", b"\x00\xd8", b"\x00\xd8a\x00"], ids=["an odd byte", "half a pair at the end", "half a pair"]
)
def test_what_is_invalid_does_not_hide_the_rest(tail: bytes) -> None:
    converted = convert_to_utf8(codecs.BOM_UTF16_LE + "token".encode("utf-16-le") + tail)
    assert converted is not None and converted.startswith(b"token")


def test_utf16_that_begins_with_a_zero_is_no_utf32() -> None:
    assert convert_to_utf8(codecs.BOM_UTF16_LE + "\0abc".encode("utf-16-le")) == b"\0abc"


@pytest.mark.parametrize("content", [b"", b"plain", "für".encode(), "für".encode("latin-1"), codecs.BOM_UTF8 + b"a"])
def test_other_text_is_unchanged(content: bytes) -> None:
    assert convert_to_utf8(content) == content


@pytest.mark.parametrize(
    "content",
    [b"\0" * 64, b"\0GITCRYPT\0" + os.urandom(64), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\x7fELF\2\1\1\0" * 9],
    ids=["zeros", "git-crypt", "PNG", "ELF"],
)
def test_binary_content_is_none(content: bytes) -> None:
    assert convert_to_utf8(content) is None
