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

NATIVE_MODULE_MISSING = (
    "CEL cannot be evaluated: gatekeeper was installed without a Rust compiler; install Rust and reinstall"
)
# Kubernetes refuses longer ones by their cost; a deep one would use up the compiler's stack.
MAX_LENGTH = 16_384
MAX_BRACKET_DEPTH = 100
# The cluster counts what an expression costs; here it is how often lists are gone through within each other.
MAX_NESTED_LOOPS = 3
LOOP_MACRO = re.compile(r"\.(?:all|exists|exists_one|existsOne|map|filter|transformList|transformMap)\s*$")


def compile_expressions(expressions: Sequence[tuple[str, str]]) -> Cel:
    """Expressions, each with the name of the variable that it makes; empty where it makes none.

    Raises:
        PolicyError: one does not compile, or is too large.
    """
    if Cel is None:
        raise PolicyError(NATIVE_MODULE_MISSING)
    for _, text in expressions:
        _check_bounds(text)
    try:
        return Cel(expressions)
    except ValueError as error:
        raise PolicyError(f"the CEL expression {' '.join(str(error).split())}") from error


def _check_bounds(text: str) -> None:
    most = loops = 0
    # Each open bracket, and whether it is that of a macro which goes through a list.
    opened: list[bool] = []
    for at, letter in enumerate(text):
        if letter in "([{":
            opened.append(LOOP_MACRO.search(text, max(0, at - 20), at) is not None)
            most, loops = max(most, len(opened)), max(loops, sum(opened))
        elif letter in ")]}" and opened:
            opened.pop()
    if len(text) > MAX_LENGTH or most > MAX_BRACKET_DEPTH:
        raise PolicyError(f"a CEL expression of {len(text)} letters, {most} brackets deep, is too large")
    if loops > MAX_NESTED_LOOPS:
        raise PolicyError(
            f"a CEL expression goes through lists {loops} deep; more than {MAX_NESTED_LOOPS} take too long"
        )
