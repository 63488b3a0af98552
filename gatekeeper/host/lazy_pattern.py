"""Regular expressions that are compiled when they are first used: a hook needs few of them."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast

METHODS = ("fullmatch", "match", "search", "sub", "findall", "finditer", "split")


class _LazyPattern:
    """Has the methods of `re.Pattern` after their first use; before, it has the text alone."""

    def __init__(self, text: str | bytes, flags: int) -> None:
        self._text, self._flags = text, flags

    def __getattr__(self, name: str) -> Any:
        if name not in METHODS:
            raise AttributeError(name)
        pattern = re.compile(self._text, self._flags)
        # From now on they are found without this method.
        for method in METHODS:
            setattr(self, method, getattr(pattern, method))
        return getattr(pattern, name)


def compile_lazily(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Like `re.compile`, with an error at the first use; the functions of `re` do not take the result."""
    return cast(re.Pattern[AnyStr], _LazyPattern(text, flags))
