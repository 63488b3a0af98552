"""What the embedded engine must not be asked: Rego that it would answer otherwise than OPA, without a word.

Most of what the engine lacks it refuses itself. The rest was found with OPA's own conformance cases, which run in the
tests; docs/rego.md lists what is left. A policy that needs any of this runs with `engine: opa`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gatekeeper.engines.rego.loader import RegoModule
from gatekeeper.errors import PolicyError

STRINGS_AND_COMMENTS = re.compile(r'"(?:\\.|[^"\\\n])*"|`[^`]*`|#[^\n]*')
DIFFERING_BUILTINS = {
    "json.is_valid": "answers undefined, not false, for what is no text",
    "json.match_schema": "words its errors in another way",
    "json.verify_schema": "words its errors in another way",
    "numbers.range_step": "refuses steps of more than 64 bits",
    "strings.count": "counts overlapping matches",
    "strings.replace_n": "replaces in another order",
    "time.parse_duration_ns": "knows no days, weeks and years",
    "yaml.is_valid": "answers undefined, not false, for what is no text",
}
# Patterns over a module whose texts and comments are blanked out, and what is wrong with what they find.
DIFFERING_FORMS = (
    (re.compile(r"=\s*walk\("), "`= walk(x)` finds nothing in it; write `walk(x, [path, value])`"),
    (re.compile(r"\bimport\s+future\.keywords\.not\b"), "`not` with a body is unknown to it"),
    (re.compile(r"(?<![\w.])\d+(?:\.\d+)?[eE][-+]?\d+"), "it prints numbers with an exponent in another way"),
)
EMPTY_GLOB_ALTERNATIVE = re.compile(r"\bglob\.match\(\s*[\"`][^\"`]*(?:\{,|,,|,\})")
IN_OPERATOR = re.compile(r"\bin\b")
DECLARATION = re.compile(r"\b(some|every)\b")


# What reaches out of an evaluation; off in every engine unless the config names it in `policies.builtins`.
EXTERNAL_BUILTINS = ("http.send", "net.lookup_ip_addr", "opa.runtime")


def reject_external_calls(module: RegoModule, allowed_builtins: Sequence[str]) -> None:
    """Refuses a module that would reach out of its evaluation.

    Raises:
        PolicyError: with the file, the line, and the setting that allows it.
    """
    code = blank_literals(module.text)
    for name in EXTERNAL_BUILTINS:
        found = re.search(rf"(?<![\w.]){re.escape(name)}\b", code)
        if found and name not in allowed_builtins:
            line = code.count("\n", 0, found.start()) + 1
            what = f"`{name}` reaches out of the policy: remove it, or name it in `policies.builtins`"
            raise PolicyError(f"{module.path}:{line}: {what}")


def reject_differences(module: RegoModule) -> None:
    """Refuses a module that the embedded engine would silently get wrong.

    Raises:
        PolicyError: with the file, the line, what it is and what to do.
    """
    for at, what in sorted(_find_differences(module.text)):
        line = module.text.count("\n", 0, at) + 1
        raise PolicyError(f"{module.path}:{line}: the embedded engine would differ from OPA: {what}; set `engine: opa`")


def blank_literals(text: str) -> str:
    """The text with everything in quotes and all comments as blanks, so that each place stays what it is."""
    return STRINGS_AND_COMMENTS.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)


def _find_differences(text: str) -> Iterator[tuple[int, str]]:
    code = blank_literals(text)
    for name, why in DIFFERING_BUILTINS.items():
        for found in re.finditer(rf"(?<![\w.]){re.escape(name)}\(", code):
            yield found.start(), f"`{name}` {why}"
    for pattern, why in DIFFERING_FORMS:
        for found in pattern.finditer(code):
            yield found.start(), why
    for found in EMPTY_GLOB_ALTERNATIVE.finditer(text):
        yield found.start(), "`glob.match` takes no empty alternative"
    for found in IN_OPERATOR.finditer(code):
        if _is_key_value_pair(code[: found.start()]):
            yield found.start(), "a test of a key and its value (`k, v in x`) is never true for sets"


def _is_key_value_pair(code_before: str) -> bool:
    """Whether two terms stand before an `in`, which no `some` or `every` declares, and which are no arguments."""
    depth, comma, at = 0, False, len(code_before)
    while at > 0 and (depth or code_before[at - 1] not in ";{|=\n"):
        at -= 1
        letter = code_before[at]
        if letter in ")]}":
            depth += 1
        elif letter in "([{":
            depth -= 1
            if depth < 0:
                return False
        elif letter == "," and not depth:
            comma = True
    return comma and not DECLARATION.search(code_before, at)
