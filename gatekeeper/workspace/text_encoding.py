"""Text in UTF-16 and UTF-32, as PowerShell and some editors write it, converted to UTF-8."""

from __future__ import annotations

import codecs

# UTF-32 first: its mark begins with that of UTF-16.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
MARKS = tuple(mark for mark, _ in BYTE_ORDER_MARKS)
SAMPLE_BYTES = 8000


def convert_to_utf8(content: bytes) -> bytes | None:
    """The content in UTF-8 if it is UTF-16 or UTF-32, unchanged if it is any other text, None if it is binary.

    UTF-16 and UTF-32 are known by their byte order mark; UTF-16 also by a zero in every second byte of ASCII text.
    A part that is invalid becomes U+FFFD, so that the rest can be searched.
    """
    for mark, encoding in BYTE_ORDER_MARKS if content.startswith(MARKS) else ():
        if content.startswith(mark) and (encoding.startswith("utf-16") or _is_valid(content, encoding)):
            return content[len(mark) :].decode(encoding, "replace").encode()
    sample = content[:SAMPLE_BYTES]
    if b"\0" not in sample:
        return content
    encoding = _guess_utf16(sample)
    return content.decode(encoding, "replace").encode() if encoding else None


def decode_marked_utf16(content: bytes) -> bytes | None:
    """The content in UTF-8 if it is valid UTF-16 with a byte order mark; None if not.

    kubectl, Argo CD and go-yaml read such a file; they read neither UTF-32 nor UTF-16 without a mark.

    Sources: `golang.org/x/text/encoding/unicode` (BOMOverride), used by cli-runtime and argo-cd; go-yaml `readerc.go`.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            is_utf16 = encoding.startswith("utf-16") and _is_valid(content, encoding)
            return content[len(mark) :].decode(encoding).encode() if is_utf16 else None
    return None


def describe_encoding(content: bytes) -> str:
    """Why content that is not UTF-8 is no text that Kubernetes reads."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            name = encoding[:6].upper()
            return "UTF-32, which kubectl does not read" if name == "UTF-32" else "not valid UTF-16"
    if _guess_utf16(content[:SAMPLE_BYTES]):
        return "UTF-16 without a byte order mark, which kubectl does not read"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start}"
    return ""


def _is_valid(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _guess_utf16(sample: bytes) -> str:
    """The encoding of mostly ASCII text in UTF-16 without a mark; empty for everything else."""
    first, second = sample[::2], sample[1::2]
    for encoding, letters, zeros in (("utf-16-le", first, second), ("utf-16-be", second, first)):
        if b"\0" not in letters and zeros.count(0) * 4 > len(zeros) * 3:
            return encoding
    return ""
