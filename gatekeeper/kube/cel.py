"""Compiles CEL expressions, and rejects those that could take too long.

Source: https://kubernetes.io/docs/reference/using-api/cel/; Kubernetes bounds an expression by its estimated cost.
"""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.errors import PolicyError
from gatekeeper.host.lazy_pattern import compile_lazily

try:
    from gatekeeper._native import Cel
except ImportError:
    Cel = None  # type: ignore[assignment,misc]

NATIVE_MODULE_MISSING = (
    "CEL cannot be evaluated: gatekeeper was installed without a Rust compiler; install Rust and reinstall"
)
# Kubernetes rejects longer ones by their cost; a deeply nested one would exhaust the compiler's stack.
MAX_LENGTH = 16_384
MAX_BRACKET_DEPTH = 100
# The cluster estimates the cost of an expression; here nested loops over lists are counted.
MAX_NESTED_LOOPS = 3
LOOP_MACRO = compile_lazily(r"\.(?:all|exists|exists_one|existsOne|map|filter|transformList|transformMap)\s*$")


def compile_expressions(expressions: Sequence[tuple[str, str]]) -> Cel:
    """Compiles expressions, each with the name of the variable that it defines, or an empty name.

    Raises:
        PolicyError: an expression does not compile, or is too large; or CEL is missing in this installation.
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
    deepest = loops = 0
    # Each open bracket, and whether it belongs to a macro that loops over a list.
    opened: list[bool] = []
    for position, letter in enumerate(text):
        if letter in "([{":
            opened.append(LOOP_MACRO.search(text, max(0, position - 20), position) is not None)
            deepest, loops = max(deepest, len(opened)), max(loops, sum(opened))
        elif letter in ")]}" and opened:
            opened.pop()
    if len(text) > MAX_LENGTH or deepest > MAX_BRACKET_DEPTH:
        raise PolicyError(
            f"a CEL expression of {len(text)} characters, nested {deepest} brackets deep, is too large; shorten it"
        )
    if loops > MAX_NESTED_LOOPS:
        raise PolicyError(f"a CEL expression has {loops} nested loops over lists; use at most {MAX_NESTED_LOOPS}")
