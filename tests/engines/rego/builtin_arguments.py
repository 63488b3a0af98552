"""Random arguments for builtins of OPA whose arguments have a form of their own, such as patterns and versions."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

Random = random.Random

# fmt: off
WORDS = [
    "", "a", "ab", "abc", "a.b", "a/b/c", "A", "é", "ß", "İ", "日本", "a b", " a ", "a,b", "aaa", "true", "x-1", "\n",
    "<&>", "%41",
]
NUMBERS = [
    0, 1, -1, 2, 3, 7, 10, 63, 64, 100, 1000, 0.1, 0.2, 0.3, 0.5, -0.5, 1.1, 1.5, 2.5, -2.5, 99.99, 1e-7, 1e21,
    123456.789, 2**31, 2**53, 2**53 + 1, -(2**53), 2**62, 2**63 - 1, -(2**63),
]
PATTERN_PARTS = [
    "a", "b", "é", ".", "^", "$", r"\d", r"\w", r"\S", r"\b", r"\.", "[a-z]", "[^a]", "[[:alpha:]]", r"[\d-]", "[a&&b]",
    "[é]", "[]a]", "(a|b)", "(?:ab)", "(?i)", "(?P<n>a)", "|", "*", "+", "?", "{2}", "{1,2}", "{,2}", "*?", "{",
    "}", r"\Q.\E", r"\x41", r"\pL", r"\z", "()", r"\/", "]", "-",
]
GLOB_PARTS = [
    "a", "b", "é", "*", "**", "?", ".", "/", "[ab]", "[!a]", "[a-c]", "[^a]", "{a,b}", "{a*,b}", "{,a}", r"\*", ":",
    "-", "ab", "c",
]
UNITS = [
    "", "m", "k", "K", "Ki", "M", "MB", "Mi", "MiB", "g", "G", "GB", "Gi", "T", "E", "Ei", "B", "b", "KIB", "x", "n",
    " ",
]
DIGITS = [
    "0", "1", "10", "0.5", "1.5", "-1", "+1", ".5", "5.", "1e3", "007", "1_000", "0x10", "1.2.3", "100.25", "",
    "9007199254740993", "1.1", "-0",
]
VERSIONS = [
    "1.2.3", "v1.2.3", "1.10.0", "1.2", "1.2.3-alpha", "1.2.3-alpha.1", "1.2.3-1", "1.2.3+b", "01.2.3", "1.2.3-01",
    "", "a", "1.2.3-", "1.2.3-rc.1+b.2", "2.0.0", "0.0.0",
]
NETWORKS = [
    "10.0.0.0/8", "10.1.0.0/16", "10.0.0.5", "192.168.1.0/24", "0.0.0.0/0", "::1", "fd00::/8", "fd00::1/128",
    "::ffff:10.0.0.1", "10.0.0.0/33", "256.1.1.1", "", "10.0.0.1/8", "010.0.0.1",
]
TIMES = [
    "2024-01-31T00:00:00Z", "2024-02-29T12:30:45.5Z", "2023-12-31T23:59:59+01:00", "2024-01-01 00:00:00Z",
    "2024-13-01T00:00:00Z", "2024-01-01", "", "1970-01-01T00:00:00Z", "2024-06-30T23:59:60Z", "2024-01-01t00:00:00z",
]
LAYOUTS = [
    "RFC3339", "2006-01-02", "2006-01-02T15:04:05Z07:00", "RFC1123", "Mon Jan 2", "15:04", "RFC3339Nano", "",
    "2006-01-02 15:04:05",
]
ZONES = ["UTC", "", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Nowhere", "Local"]
NANOSECONDS = [
    0, 1, 1706659200000000000, 1709164800000000000, 1711846800000000000, 951782400000000000, -1, 4102444800000000000,
    1609459199999999999,
]
JSON_TEXTS = [
    '{"a": 1}', "[1, 2.5, null]", '"é"', "1e3", "1.0", "", "{", '{"a": 1, "a": 2}', "nul", '"\\u00e9"', '"\\ud83d"',
    " 1 ", "[1,]", "01", "-0", "12345678901234567890", "1 2", '"\t"',
]
YAML_TEXTS = [
    "a: 1", "a: yes", "a: 0777", "- 1\n- b", "a: 1\n---\nb: 2", "a: &x 1\nb: *x", "a: 'x'", "a: 2024-01-01", "",
    "a: [1, {b: c}]", "a: |\n  t\n", "a: 1_000", "a: ~", "\ta: 1", "a: 1\na: 2", "a: !!str 1", "null", "{", "a: .5",
    "x: true # c", "1: 2", "a: 1e3", "? a\n: b",
]
ENCODED = [
    "aGVsbG8=", "aGVsbG8", "aGVs\nbG8=", "_-8=", "+/8=", "", "é", "====", "6869", "686", "zz", "/w==", "ff", "a%20b",
    "a+b", "%zz", "a=1&b=2&a=3", "a;b", "%C3%A9", "a=%41&c", "YWI=", "YWJ=",
]
FORMATS = [
    "%d", "%s", "%v", "%5d", "%-5s|", "%05d", "%.2f", "%q", "%x", "%t", "%%", "a", "%", "%s %s", "%[2]v %[1]v", "%e",
    "%g", "%+d", "%T", "%c", "%U", "%o", "%b", "%#v", "%6.2f", "%!", "%*d", "é%s",
]
UUIDS = ["00000000-0000-0000-0000-000000000000", "f47ac10b-58cc-4372-a567-0e02b2c3d479", "", "x"]
URIS = ["https://a.example:80/b?c=d#e", "", "a", "http://[::1]/", "%zz", "mailto:a@b.example"]
DURATIONS = ["1h", "1.5s", "1d", "2w", "", "h", "-1m", "1h30m", "1ns", "1µs", "5"]
# fmt: on

ARGUMENTS: Mapping[str, Callable[[Random], list[Any]]] = {
    "semver.compare": lambda r: [r.choice(VERSIONS), r.choice(VERSIONS)],
    "semver.is_valid": lambda r: [r.choice([*VERSIONS, 1, None])],
    "regex.match": lambda r: [make_pattern(r), make_text(r)],
    "regex.is_valid": lambda r: [make_pattern(r)],
    "regex.split": lambda r: [make_pattern(r), make_text(r)],
    "regex.find_n": lambda r: [make_pattern(r), make_text(r), r.choice([-1, 0, 1, 2])],
    "regex.find_all_string_submatch_n": lambda r: [make_pattern(r), make_text(r), r.choice([-1, 0, 1, 2])],
    "regex.replace": lambda r: [
        make_text(r),
        make_pattern(r),
        r.choice(["x", "", "$1", "${1}x", "$1x", "$$", "$n", "\\1"]),
    ],
    "regex.template_match": lambda r: [f"a{{{make_pattern(r)}}}", make_text(r), "{", "}"],
    "regex.globs_match": lambda r: [make_glob(r), make_glob(r)],
    "re_match": lambda r: [make_pattern(r), make_text(r)],
    "glob.match": lambda r: [
        make_glob(r),
        r.choice([None, [], ["/"], ["."], [".", "/"], [":"], ["ab"], ["é"]]),
        make_path(r),
    ],
    "glob.quote_meta": lambda r: [make_glob(r)],
    "units.parse": lambda r: [r.choice(DIGITS) + r.choice(UNITS)],
    "units.parse_bytes": lambda r: [r.choice(DIGITS) + r.choice(UNITS)],
    # OPA itself fails on the result of `007`, `+1` and `5.`.
    "to_number": lambda r: [
        r.choice([*NUMBERS, "1.5", "-1", "1e3", "", None, True, False, [], " 5", "5 ", "Inf", "NaN"])
    ],
    "net.cidr_contains": lambda r: [r.choice(NETWORKS), r.choice(NETWORKS)],
    "net.cidr_intersects": lambda r: [r.choice(NETWORKS), r.choice(NETWORKS)],
    "net.cidr_overlap": lambda r: [r.choice(NETWORKS), r.choice(NETWORKS)],
    "net.cidr_expand": lambda r: [r.choice(["10.0.0.0/30", "10.0.0.1/31", "fd00::/126", "x", "", "10.0.0.0"])],
    "net.cidr_is_valid": lambda r: [r.choice([*NETWORKS, 1])],
    "net.cidr_merge": lambda r: [r.choices(NETWORKS, k=r.randint(0, 3))],
    "net.cidr_contains_matches": lambda r: [r.choice(NETWORKS), r.choices(NETWORKS, k=2)],
    "time.parse_rfc3339_ns": lambda r: [r.choice(TIMES)],
    "time.parse_ns": lambda r: [r.choice(LAYOUTS), r.choice([*TIMES, "Mon Jan 2", "12:30"])],
    "time.parse_duration_ns": lambda r: [r.choice(DURATIONS)],
    "time.add_date": lambda r: [make_time(r), *(r.choice([0, 1, -1, 12, 400, 1.5]) for _ in range(3))],
    "time.diff": lambda r: [make_time(r), make_time(r)],
    "time.clock": lambda r: [make_time(r)],
    "time.date": lambda r: [make_time(r)],
    "time.weekday": lambda r: [make_time(r)],
    "time.format": lambda r: [r.choice([make_time(r), [r.choice(NANOSECONDS), r.choice(ZONES), r.choice(LAYOUTS)]])],
    "json.unmarshal": lambda r: [r.choice(JSON_TEXTS)],
    "json.is_valid": lambda r: [r.choice([*JSON_TEXTS, 1])],
    "json.marshal_with_options": lambda r: [
        make_value(r),
        r.choice(
            [{}, {"pretty": True}, {"indent": "  "}, {"prefix": ">", "pretty": True}, {"pretty": False, "indent": "\t"}]
        ),
    ],
    "json.patch": lambda r: [
        make_value(r),
        [
            {
                "op": r.choice(["add", "remove", "replace", "test", "move", "copy", "x"]),
                "path": r.choice(["/a", "a", "", "/0", "/-", "/a/b", "/a~1b"]),
                "from": r.choice(["/a", "/b"]),
                "value": make_value(r),
            }
        ],
    ],
    "json.filter": lambda r: [make_object(r), make_paths(r)],
    "json.remove": lambda r: [make_object(r), make_paths(r)],
    "json.match_schema": lambda r: [make_value(r), r.choice([{"type": "object"}, {"type": "string"}, {}, "x"])],
    "json.verify_schema": lambda r: [r.choice([{"type": "object"}, {"type": "nothing"}, "x"])],
    "yaml.unmarshal": lambda r: [r.choice(YAML_TEXTS)],
    "yaml.is_valid": lambda r: [r.choice([*YAML_TEXTS, 1])],
    "base64.decode": lambda r: [r.choice(ENCODED)],
    "base64.is_valid": lambda r: [r.choice([*ENCODED, 1])],
    "base64url.decode": lambda r: [r.choice(ENCODED)],
    "hex.decode": lambda r: [r.choice(ENCODED)],
    "urlquery.decode": lambda r: [r.choice(ENCODED)],
    "urlquery.decode_object": lambda r: [r.choice(ENCODED)],
    "urlquery.encode_object": lambda r: [
        {r.choice(WORDS): r.choice([r.choice(WORDS), r.choices(WORDS, k=2), 1]) for _ in range(2)}
    ],
    "sprintf": lambda r: [
        r.choice(FORMATS) + r.choice(["", " ", r.choice(FORMATS)]),
        [make_value(r) for _ in range(r.randint(0, 3))],
    ],
    "format_int": lambda r: [r.choice(NUMBERS), r.choice([2, 8, 10, 16, 3, 0])],
    "numbers.range": lambda r: [r.randint(-5, 5), r.choice([r.randint(-5, 5), 1.5])],
    "numbers.range_step": lambda r: [r.randint(-5, 5), r.randint(-5, 5), r.choice([1, 2, 0, -1, 1.5])],
    "substring": lambda r: [make_text(r), r.randint(-2, 4), r.choice([-1, 0, 1, 2, 9, 1.5])],
    "array.slice": lambda r: [make_list(r), r.choice([-1, 0, 1, 2, 5, 1.5]), r.choice([-1, 0, 1, 2, 5])],
    "bits.lsh": lambda r: [r.choice(NUMBERS), r.choice([0, 1, 5, 52, 63, 64, -1, 1.5])],
    "bits.rsh": lambda r: [r.choice(NUMBERS), r.choice([0, 1, 5, 52, 63, 64, -1, 1.5])],
    "concat": lambda r: [r.choice(WORDS), r.choices([*WORDS, *WORDS, 1], k=r.randint(0, 3))],
    "graph.reachable": lambda r: [make_graph(r), r.choices("abc", k=r.randint(0, 2))],
    "graph.reachable_paths": lambda r: [make_graph(r), r.choices("abc", k=r.randint(0, 2))],
    "object.get": lambda r: [make_object(r), r.choice(["a", "b", ["a"], ["a", "b"], [], ["a", 0], 1, None]), "none"],
    "object.union_n": lambda r: [[make_object(r) for _ in range(r.randint(0, 3))]],
    "strings.replace_n": lambda r: [{r.choice(WORDS): r.choice(WORDS) for _ in range(2)}, make_text(r)],
    "strings.render_template": lambda r: [
        r.choice(["{{.a}}", "{{ .a }} x", "{{", "{{.b}}", "a", "{{range .a}}{{.}}{{end}}"]),
        make_object(r),
    ],
    "uuid.parse": lambda r: [r.choice(UUIDS)],
    "uri.parse": lambda r: [r.choice(URIS)],
    "uri.is_valid": lambda r: [r.choice([*URIS, 1])],
    "max": lambda r: [[r.choice(NUMBERS) if r.random() < 0.8 else make_value(r) for _ in range(r.randint(0, 4))]],
    "min": lambda r: [[r.choice(NUMBERS) if r.random() < 0.8 else make_value(r) for _ in range(r.randint(0, 4))]],
    "split": lambda r: [make_text(r), r.choice(["", "a", ",", ".", "ab", "é"])],
}


def make_pattern(rng: Random) -> str:
    """A regular expression of up to four parts, often invalid."""
    return "".join(rng.choices(PATTERN_PARTS, k=rng.randint(1, 4)))


def make_glob(rng: Random) -> str:
    """A glob pattern of up to four parts."""
    return "".join(rng.choices(GLOB_PARTS, k=rng.randint(1, 4)))


def make_path(rng: Random) -> str:
    """A text that a glob pattern may match."""
    return "".join(rng.choices(["a", "b", "ab", "c", ".", "/", "é", ":", "-", "*"], k=rng.randint(0, 5)))


def make_text(rng: Random) -> str:
    """A text of up to four words or letters."""
    return "".join(
        rng.choices(["a", "b", "A", "-", ".", "1", "é", " ", "\n", "ab", "9", "{", "]", "٣"], k=rng.randint(0, 5))
    )


def make_time(rng: Random) -> Any:
    """A time, with or without its zone."""
    stamp = rng.choice(NANOSECONDS)
    return stamp if rng.random() < 0.6 else [stamp, rng.choice(ZONES)]


def make_list(rng: Random) -> list[Any]:
    """An array of up to four simple values."""
    return [rng.choice([rng.choice(WORDS), rng.choice(NUMBERS), None, True]) for _ in range(rng.randint(0, 4))]


def make_object(rng: Random) -> dict[str, Any]:
    """An object with up to three keys; its values are up to one level deep."""
    simple = rng.choice
    return {
        key: simple([simple(WORDS), simple(NUMBERS), None, {"b": simple(WORDS)}, [simple(NUMBERS)]])
        for key in rng.sample(["a", "b", "c", "a/b", ""], k=rng.randint(0, 3))
    }


def make_graph(rng: Random) -> dict[str, Any]:
    """A graph: each node has the names of its neighbours."""
    return {node: rng.choice([rng.choices("abcd", k=rng.randint(0, 2)), None]) for node in "abc"}


def make_paths(rng: Random) -> list[Any]:
    """Paths into an object."""
    return rng.choices(["a", "a/b", "/a", ["a", "b"], ["a", 0], "", [], "a~1b", "c", "b/0"], k=rng.randint(0, 3))


def make_value(rng: Random) -> Any:
    """Any JSON value."""
    return rng.choice([None, True, False, rng.choice(NUMBERS), rng.choice(WORDS), make_list(rng), make_object(rng)])
