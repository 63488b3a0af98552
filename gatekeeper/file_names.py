"""Names of files that are not UTF-8: Python keeps each byte that it cannot decode as a lone surrogate."""

from __future__ import annotations


def to_printable(text: str) -> str:
    r"""The text with `\xe9` for each byte of a file name that is not UTF-8."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        # Another surrogate, which no name of a file has.
        return text.encode("utf-8", "backslashreplace").decode()
