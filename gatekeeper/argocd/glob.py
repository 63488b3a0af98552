"""Patterns as Argo CD has them, in projects and in lists of files: `*`, `**`, `?`, `[a-z]` and `{a,b}`.

Source: gobwas/glob `README.md`. Where there is a separator, `*` and `?` end at it, and `**` does not.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from gatekeeper.gocompat import regexp


def matches(pattern: str, text: str, separator: str = "") -> bool:
    """Whether a text fits a pattern; one that is none fits nothing."""
    found = _compile_glob(pattern, separator)
    return found is not None and found.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _compile_glob(pattern: str, separator: str) -> Any | None:
    one = f"[^{re.escape(separator)}]" if separator else "."
    out, depth, place = "", 0, 0
    while place < len(pattern):
        sign = pattern[place]
        place += 1
        if sign == "\\" and place < len(pattern):
            out, place = out + re.escape(pattern[place]), place + 1
        elif sign == "*":
            is_wide = pattern.startswith("*", place)
            out, place = out + (".*" if is_wide else f"{one}*"), place + is_wide
        elif sign == "?":
            out += one
        elif sign == "[":
            end = pattern.find("]", place + 1)
            if end < 0:
                return None
            held = pattern[place:end]
            negated = held[:1] in ("!", "^")
            inside = held[negated:].replace("\\", "\\\\").replace("^", "\\^").replace("[", "\\[")
            out, place = f"{out}[{'^' if negated else ''}{inside}]", end + 1
        elif sign == "{":
            out, depth = f"{out}(?:", depth + 1
        elif sign == "}" and depth:
            out, depth = f"{out})", depth - 1
        elif sign == "," and depth:
            out += "|"
        else:
            out += re.escape(sign)
    # By a library that takes no longer than the text is long: whoever writes such a pattern holds nobody up.
    return None if depth else regexp.compile_pattern(f"(?s){out}")
