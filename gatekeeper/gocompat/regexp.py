"""Go's regular expressions (RE2): matched anywhere in a text, in linear time."""

from __future__ import annotations

from typing import Any

import re2


def compile_pattern(pattern: str) -> Any | None:
    """Compiles a pattern; None if Go would refuse it."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options=options)
    except re2.error:
        return None
