"""UTF-16 and UTF-32 become UTF-8; binary content does not."""

from __future__ import annotations

import codecs
import os

import pytest

from gatekeeper.workspace.text_encoding import convert_to_utf8, decode_marked_utf16, describe_encoding

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


@pytest.mark.parametrize("encoding", MARKS)
def test_kubernetes_reads_marked_utf16_only(encoding: str) -> None:
    expected = TEXT.encode() if encoding.startswith("utf-16") else None
    assert decode_marked_utf16(MARKS[encoding] + TEXT.encode(encoding)) == expected
    assert decode_marked_utf16(TEXT.encode(encoding)) is None


@pytest.mark.parametrize("content", [b"", b"text", b"\xef\xbb\xbftext", b"\xff\xfea", b"\xff\xfe\x00\xd8a\x00"])
def test_what_is_no_valid_utf16_is_not_decoded(content: bytes) -> None:
    assert decode_marked_utf16(content) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"), "UTF-32, which kubectl does not read"),
        (TEXT.encode("utf-16-le"), "UTF-16 without a byte order mark, which kubectl does not read"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8a\x00", "not valid UTF-16"),
        (b"f\xfcr", "not UTF-8 at byte 1"),
    ],
)
def test_other_text_has_a_reason(content: bytes, reason: str) -> None:
    assert describe_encoding(content) == reason
