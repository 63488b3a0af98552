"""Expressions in CEL, within bounds: compiled, and refused where they would take too long.

Source: https://kubernetes.io/docs/reference/using-api/cel/; Kubernetes bounds an expression by its estimated cost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gatekeeper.errors import PolicyError

try:
    from gatekeeper._native import Cel
except ImportError:
    Cel = None  # type: ignore[assignment,misc]

UNBUILT = "CEL cannot be evaluated: gatekeeper was installed without a Rust compiler; install Rust and reinstall"
# Kubernetes refuses longer ones by their cost; a deep one would use up the compiler's stack.
MOST_LENGTH = 16_384
MOST_DEPTH = 100
# The cluster counts what an expression costs; here it is how often lists are gone through within each other.
MOST_LOOPS = 3
LOOP = re.compile(r"\.(?:all|exists|exists_one|existsOne|map|filter|transformList|transformMap)\s*$")


def compiled(steps: Sequence[tuple[str, str]]) -> Cel:
    """Expressions, each with the name of the variable that it makes; empty where it makes none.

    Raises:
        PolicyError: one does not compile, or is too large.
    """
    if Cel is None:
        raise PolicyError(UNBUILT)
    for _, text in steps:
        _bound(text)
    try:
        return Cel(steps)
    except ValueError as error:
        raise PolicyError(f"the CEL expression {' '.join(str(error).split())}") from error


def _bound(text: str) -> None:
    most = loops = 0
    # Each open bracket, and whether it is that of a macro which goes through a list.
    opened: list[bool] = []
    for at, letter in enumerate(text):
        if letter in "([{":
            opened.append(LOOP.search(text, max(0, at - 20), at) is not None)
            most, loops = max(most, len(opened)), max(loops, sum(opened))
        elif letter in ")]}" and opened:
            opened.pop()
    if len(text) > MOST_LENGTH or most > MOST_DEPTH:
        raise PolicyError(f"a CEL expression of {len(text)} letters, {most} brackets deep, is too large")
    if loops > MOST_LOOPS:
        raise PolicyError(f"a CEL expression goes through lists {loops} deep; more than {MOST_LOOPS} take too long")
