"""JSON that a YAML reader takes for the same value: kubectl and Argo CD read JSON as JSON."""

from __future__ import annotations

import re

from gatekeeper.host.lazy_pattern import compile_lazily

# Escapes that YAML 1.1 lacks, and characters that JSON allows in texts and YAML does not.
ESCAPE = compile_lazily(r"\\(?:u([dD][89abAB]..)\\u([dD][c-fC-F]..)|(.))", re.DOTALL)
CHARACTER = compile_lazily("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def rewrite_for_yaml(text: bytes) -> bytes | None:
    """The same JSON in characters that YAML has, with the same lines; None if the text is no JSON."""
    if not text.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        return None
    # Slow to load: a hook whose verdict is cached does without it.
    import orjson

    plain = text.removeprefix(b"\xef\xbb\xbf")
    try:
        orjson.loads(plain)
    except orjson.JSONDecodeError:
        return None
    # A tab can only be between values.
    source = ESCAPE.sub(_rewrite_escape, plain.decode("utf-8").replace("\t", " "))
    return CHARACTER.sub(lambda found: f"\\u{ord(found[0]):04x}", source).encode()


def _rewrite_escape(found: re.Match[str]) -> str:
    high, low, sign = found.groups()
    if high:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + (int(low, 16) - 0xDC00))
    return "/" if sign == "/" else found[0]
