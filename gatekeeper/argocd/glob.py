"""Glob patterns of Argo CD, in projects and file lists: `*`, `**`, `?`, `[a-z]` and `{a,b}`.

Source: gobwas/glob `README.md`. If there is a separator, `*` and `?` do not match it, and `**` does.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from gatekeeper.gocompat import regexp


def matches(pattern: str, text: str, separator: str = "") -> bool:
    """Whether a pattern matches a whole text; an invalid pattern matches nothing."""
    compiled = _compile_glob(pattern, separator)
    return compiled is not None and compiled.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _compile_glob(pattern: str, separator: str) -> Any | None:
    any_character = f"[^{re.escape(separator)}]" if separator else "."
    expression, depth, position = "", 0, 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "\\" and position < len(pattern):
            expression, position = expression + re.escape(pattern[position]), position + 1
        elif character == "*":
            is_double = pattern.startswith("*", position)
            expression, position = expression + (".*" if is_double else f"{any_character}*"), position + is_double
        elif character == "?":
            expression += any_character
        elif character == "[":
            end = pattern.find("]", position + 1)
            if end < 0:
                return None
            expression, position = expression + _compile_class(pattern[position:end]), end + 1
        elif character == "{":
            expression, depth = f"{expression}(?:", depth + 1
        elif character == "}" and depth:
            expression, depth = f"{expression})", depth - 1
        elif character == "," and depth:
            expression += "|"
        else:
            expression += re.escape(character)
    # RE2 runs in linear time, so no pattern can stall the process.
    return None if depth else regexp.compile_pattern(f"(?s){expression}")


def _compile_class(content: str) -> str:
    is_negated = content[:1] in ("!", "^")
    members = content[is_negated:].replace("\\", "\\\\").replace("^", "\\^").replace("[", "\\[")
    return f"[{'^' if is_negated else ''}{members}]"
