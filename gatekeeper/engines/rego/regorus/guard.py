"""Refuses Rego that the embedded engine would silently evaluate in another way than OPA.

Most of what the engine does not support it refuses itself. The differences here were found with OPA's own conformance
cases, which run in the tests; docs/rego.md lists them. A policy that needs such a feature runs with `engine: opa`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import orjson

from gatekeeper.engines.rego.model import RegoModule
from gatekeeper.engines.rego.rego_text import blank_literals, scan_level
from gatekeeper.errors import PolicyError
from gatekeeper.host.lazy_pattern import compile_lazily

try:
    from gatekeeper._native import check_constant
except ImportError:
    check_constant = None  # type: ignore[assignment]

DIFFERING_BUILTINS = {
    "graph.reachable_paths": "ends a path at a cycle one node earlier",
    "json.is_valid": "is undefined, not false, for a value that is not a string",
    "json.match_schema": "has other error messages",
    "json.verify_schema": "has other error messages",
    "numbers.range_step": "refuses steps of more than 64 bits",
    "strings.count": "counts overlapping matches",
    "strings.replace_n": "replaces in another order",
    "time.parse_duration_ns": "does not support days, weeks and years",
    "uuid.parse": "names other variants",
    "yaml.is_valid": "is undefined, not false, for a value that is not a string",
    "yaml.marshal": "writes another layout",
}
# Patterns over a module without strings and comments, and what differs where they match.
DIFFERING_FORMS = (
    (re.compile(r"=\s*walk\("), "`= walk(x)` yields nothing; write `walk(x, [path, value])`"),
    (re.compile(r"\bimport\s+future\.keywords\.not\b"), "`not` with a body is not supported"),
    (re.compile(r"(?<![\w.])\d+(?:\.\d+)?[eE][-+]?\d+"), "numbers with an exponent are printed in another way"),
)
# The engine reads 1.0 as 1; OPA prints the two differently.
WHOLE_FLOAT = compile_lazily(r"(?<![\w.])\d+\.0+(?![\w.])")
PRINTING_CALL = compile_lazily(r"(?<![\w.])(?:sprintf|json\.marshal|json\.marshal_with_options)\(")
# Calls whose first argument is a pattern or layout, and `regex.replace` up to its second; group 1 is the builtin.
CONSTANT_CALL = compile_lazily(
    r"(?<![\w.])(?:(regex\.(?:match|is_valid|split|find_n|find_all_string_submatch_n)|glob\.match|time\.parse_ns)\("
    r"|(regex\.replace)\([^,()]*,)"
)
STRING = compile_lazily(r'\s*("(?:[^"\\\n]|\\.)*"|`[^`]*`)')
IN_OPERATOR = compile_lazily(r"\bin\b")
DECLARATION = compile_lazily(r"\b(some|every)\b")
# Builtins that access the network or the environment: off in every engine unless `policies.builtins` names them.
EXTERNAL_BUILTINS = ("http.send", "net.lookup_ip_addr", "opa.runtime")


def reject_external_calls(module: RegoModule, allowed_builtins: Sequence[str]) -> None:
    """Refuses a module that calls a builtin with access to the network or the environment.

    Raises:
        PolicyError: with the file, the line, and the setting that allows it.
    """
    code = blank_literals(module.text)
    for name in EXTERNAL_BUILTINS:
        call = re.search(rf"(?<![\w.]){re.escape(name)}\b", code)
        if call and name not in allowed_builtins:
            line = code.count("\n", 0, call.start()) + 1
            reason = f"`{name}` accesses the network or the environment: remove it, or allow it in `policies.builtins`"
            raise PolicyError(f"{module.path}:{line}: {reason}")


def reject_differences(module: RegoModule) -> None:
    """Refuses a module that the embedded engine would silently evaluate in another way than OPA.

    Raises:
        PolicyError: with the file, the line, the difference and what to do.
    """
    for position, reason in sorted(_find_differences(module.text)):
        line = module.text.count("\n", 0, position) + 1
        raise PolicyError(f"{module.path}:{line}: the embedded engine differs from OPA: {reason}; set `engine: opa`")


def _find_differences(text: str) -> Iterator[tuple[int, str]]:
    code = blank_literals(text)
    for name, difference in DIFFERING_BUILTINS.items():
        for call in re.finditer(rf"(?<![\w.]){re.escape(name)}\(", code):
            yield call.start(), f"`{name}` {difference}"
    for pattern, difference in DIFFERING_FORMS:
        for match in pattern.finditer(code):
            yield match.start(), difference
    for match in WHOLE_FLOAT.finditer(code) if PRINTING_CALL.search(code) else ():
        yield match.start(), f"`{match.group()}` is printed as a whole number: write it without `.0`"
    yield from _find_constants(text, code)
    for match in IN_OPERATOR.finditer(code):
        if _is_key_value_pair(code[: match.start()]):
            yield match.start(), "a membership test of a key and a value (`k, v in x`) is never true for sets"


def _find_constants(text: str, code: str) -> Iterator[tuple[int, str]]:
    """Patterns and layouts in a policy's text that OPA refuses or may read in another way."""
    for call in CONSTANT_CALL.finditer(code):
        string = STRING.match(text, call.end())
        constant = _read_string(string[1]) if string else None
        name = call[1] or call[2]
        difference = check_constant(name, constant) if constant is not None else None
        if difference:
            yield call.start(), f"`{name}`: {difference}"


def _read_string(literal: str) -> str | None:
    if literal.startswith("`"):
        return literal[1:-1]
    try:
        return str(orjson.loads(literal))
    except ValueError:
        return None


def _is_key_value_pair(code_before: str) -> bool:
    """Whether two terms stand before an `in` that neither `some` nor `every` declares and that are not arguments."""
    start, has_comma = 0, False
    for position, letter in scan_level(code_before, len(code_before) - 1, -1):
        if letter in "([":
            return False
        if letter in ";{|=\n":
            start = position + 1
            break
        has_comma = has_comma or letter == ","
    return has_comma and not DECLARATION.search(code_before, start)
