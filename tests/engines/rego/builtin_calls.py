"""Random calls of OPA's builtins, by the types that OPA declares for their arguments."""

from __future__ import annotations

import random
from typing import Any

import orjson

from gatekeeper.host import toolchain
from gatekeeper.host.process import run_command
from tests.engines.rego.builtin_arguments import ARGUMENTS

# Results depend on time, chance, the machine or the position in the file; or calls reach out of the evaluation.
INDETERMINATE = (
    "http.",
    "internal.",
    "io.jwt.encode",
    "opa.",
    "print",
    "rand.",
    "rego.",
    "time.now",
    "trace",
    "uuid.rfc",
)
NETWORK = {"net.lookup_ip_addr"}
# Operators that bind variables.
ASSIGNMENTS = {"assign", "eq"}

# Their results grow with a number; OPA itself ends for lack of memory.
SIZED = ("bits.", "numbers.range", "strings.repeat")

TEXTS = (
    "",
    "a",
    "A b",
    "aaa",
    "é",
    "straße",
    "İx",
    "ａ",
    "x\ny",
    "a.b.c",
    "0",
    "-1",
    "true",
    "null",
    "\u2028<>&",
    "😀",
)
TEXTS_BY_PREFIX: dict[str, tuple[str, ...]] = {
    "regex": (
        "a*",
        "^a+$",
        "[a-c]+",
        "(a)|(b)",
        "(?i)ab",
        r"\d+",
        r"\w",
        r"\bA",
        ".",
        "a{2}",
        "(",
        "[^a]",
        r"\.",
        "(?P<n>b)",
        "$1",
    ),
    "re_match": ("a*", "^a+$", "[a-c]+", r"\d+", "("),
    "glob": ("*", "a*", "**", "a.*", "{a,b}*", "?", "[a-c]", "a.**", "!a", "*.c", r"\*"),
    "semver": ("1.2.3", "v1.2.3", "1.2", "1.2.3-rc.1", "1.2.3+b", "01.2.3", "1.2.3-01", "10.0.0"),
    "json": ('{"a":1}', "[1, 2.5]", "1e3", '"x"', "{", "a/b", "/a", "/a/0", "1.0", "-0"),
    "yaml": ("a: 1", "- x\n- y", "a: yes", "a: [", "&a b", "a: 0o7", "k: 1.50", "a: ~"),
    "base64": ("YQ==", "YQ", "YWI=", "_-8=", "+/8=", "%%", "YQ==\n"),
    "hex": ("61", "6", "6A6b", "zz", "ff"),
    "url": ("a=b&c=d", "%zz", "a+b", "a%20b", "a=%C3%A9", "x;y"),
    "uri": ("https://u@h:80/p?q=1#f", "a", "://", "http://[::1]/"),
    "net": ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "::1/128", "2001:db8::/32", "300.1.1.1", "10.0.0.0/33", "fe80::1"),
    "units": ("1", "10Ki", "1.5M", "500m", "1e3", "10 G", "K", "-1Ki", "1_0", "0x10", "2KB", "3MiB"),
    "time": (
        "2006-01-02T15:04:05Z",
        "2021-02-30T00:00:00Z",
        "1h30m",
        "-5s",
        "RFC1123",
        "UTC",
        "2006-01-02",
        "2021-05-06",
        "1d",
    ),
    "to_number": ("1", "1.5", " 1", "1e3", "0x1", "1_0", "+1", ".5", "5.", "-0", "Inf", "NaN"),
    "sprintf": ("%d", "%s", "%v", "%5.2f", "%x", "%q", "%t", "%%", "%[2]v", "%*d", "%T", "%05d", "%+d", "%e", "%c"),
    "io.jwt": ("eyJhbGciOiJub25lIn0.eyJhIjoxfQ.", "a.b.c", "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.AAAA"),
    "crypto": ("secret", "-----BEGIN CERTIFICATE-----"),
    "uuid": ("00000000-0000-1000-8000-000000000000", "x", "urn:uuid:00000000-0000-4000-8000-000000000000"),
    "strings": ("a", "b", "ab", "abab", ""),
}
NUMBERS = (0, 1, 2, 3, -1, -7, 10, 64, 255, 1.5, -0.5, 0.1, 2.75, 1000000, 2**31, 2**53, -(2**53), 1612051200000000000)


def list_builtins() -> list[dict[str, Any]]:
    """The builtins of the pinned OPA, as `opa capabilities` declares them."""
    program = str(toolchain.DEFAULT_TOOLCHAIN.find("opa"))
    code, out, error = run_command([program, "capabilities", "--current"], 60)
    assert code == 0, error
    builtins: list[dict[str, Any]] = orjson.loads(out)["builtins"]
    return builtins


def can_compare(builtin: dict[str, Any]) -> bool:
    """Whether OPA and another engine must give the same result."""
    name = builtin["name"]
    is_relation = builtin["decl"].get("result") is None or builtin.get("relation", False)
    return not (
        name.startswith(INDETERMINATE)
        or name in NETWORK | ASSIGNMENTS
        or is_relation
        or builtin.get("nondeterministic")
    )


def build_arguments(chance: random.Random, builtin: dict[str, Any]) -> list[Any]:
    """Arguments for a call, as values of JSON; one in twenty calls has an argument of another type."""
    name = builtin["name"]
    if name in ARGUMENTS and chance.random() < 0.6:
        return ARGUMENTS[name](chance)
    arguments = [_build_value(chance, declared, name) for declared in builtin["decl"].get("args", [])]
    if arguments and chance.random() < 0.05:
        arguments[chance.randrange(len(arguments))] = _build_value(chance, {"type": "any"}, name)
    return arguments


def _build_value(chance: random.Random, declared: dict[str, Any], name: str, depth: int = 0) -> Any:
    kind = declared["type"]
    if kind == "any":
        of = declared.get("of") or [
            {"type": word} for word in ("string", "number", "boolean", "null", "array", "object")
        ]
        scalar = [entry for entry in of if entry["type"] not in {"array", "object", "set"}]
        return _build_value(chance, chance.choice(scalar if depth > 1 and scalar else of), name, depth)
    if kind == "string":
        return chance.choice(_list_texts(name) if chance.random() < 0.7 else TEXTS)
    if kind == "number":
        if name.startswith(SIZED):
            return chance.choice((0, 1, 2, 3, -1, 7, 1.5, 60, chance.randint(-20, 100)))
        return chance.choice(NUMBERS) if chance.random() < 0.7 else chance.randint(-20, 300)
    if kind == "boolean":
        return chance.random() < 0.5
    if kind == "null":
        return None
    if kind in {"array", "set"}:
        return _build_array(chance, declared, name, depth)
    static = {
        entry["key"]: _build_value(chance, entry["value"], name, depth + 1) for entry in declared.get("static") or ()
    }
    dynamic = declared.get("dynamic") or {"key": {"type": "string"}, "value": {"type": "any"}}
    count = 0 if declared.get("static") else chance.randrange(4)
    keys = [chance.choice(("a", "b", "c", "a/b", "é")) for _ in range(count)]
    return static | {key: _build_value(chance, dynamic["value"], name, depth + 1) for key in keys}


def _build_array(chance: random.Random, declared: dict[str, Any], name: str, depth: int) -> list[Any]:
    if declared.get("static"):
        return [_build_value(chance, entry, name, depth + 1) for entry in declared["static"]]
    entry = declared.get("dynamic") or declared.get("of") or {"type": "any"}
    return [_build_value(chance, entry, name, depth + 1) for _ in range(chance.randrange(5))]


def _list_texts(name: str) -> tuple[str, ...]:
    return next((texts for prefix, texts in TEXTS_BY_PREFIX.items() if name.startswith(prefix)), TEXTS)


def format_call(builtin: dict[str, Any], number: int) -> str:
    """An expression that calls the builtin with the arguments in `input.calls[number]`."""
    names = []
    for index, declared in enumerate(builtin["decl"].get("args", [])):
        value = f"input.calls[{number}][{index}]"
        names.append(f"{{x | some x in {value}}}" if declared["type"] == "set" else value)
    return f"{builtin['name']}({', '.join(names)})"
