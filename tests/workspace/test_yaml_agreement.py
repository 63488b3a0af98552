"""What Kubernetes' own reader (sigs.k8s.io/yaml, inside of Helm's `fromYaml`) parses from a text, ours does too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from gatekeeper.host import toolchain
from gatekeeper.host.process import run_command
from gatekeeper.workspace import documents
from tests.conftest import needs

pytestmark = needs("helm")

TEMPLATE = """\
{{- range $path, $_ := .Files.Glob "files/*" }}
---
{{ dict "kind" "Read" "apiVersion" "v1" "path" $path "value" ($.Files.Get $path | fromYaml) | toJson }}
{{- end }}
"""
FAILED = "cannot be read"
PIECES = [
    *(
        "0",
        "1",
        "8",
        "9",
        "07",
        "+",
        "-",
        ".",
        "_",
        "e",
        "E",
        "x",
        "o",
        "b",
        "a",
        "f",
        ":",
        "y",
        "n",
        "no",
        "on",
        "off",
    ),
    *("yes", "true", "null", "~", "inf", "nan", "NaN", "Z", "T", "2001-01-01", "<<", "=", "'", '"', "é", "%", "@", "`"),
    *("|", ">", "*a", "#", ",", "{", "}", "[", "]", "!!int ", "!!str ", "!!float ", "!!bool ", "&a ", " #", ": ", "\t"),
]
FORMS = [
    "a: &x {b: 1, c: [2]}\nd: *x\ne: {<<: *x, b: 3}\n",
    "a: &x {b: 1}\nb: &y {b: 2, c: 3}\nd: {<<: [*x, *y], e: 1}\n",
    "a: |\n  x\n   y\n\n\nb: >-\n  x\n  y\n\n  z\nc: |+\n  x\n\n",
    "a: 'it''s'\nb: \"\\u00e9\\n\\x41\"\nc: \"a\n  b\n\n  c\"\n",
    "? a\n: b\n? [c, d]\n: e\n",
    "1: a\ntrue: b\n1.5: c\n0x10: d\nnull: e\n",
    "a:\n- b\n-\n  - c\n- - d\n  - e\n- f: 1\n  g: 2\n",
    "\ufeffa: 1\r\nb:\r\n- c\r\n- |\r\n  d\r\n  e\r\n",
    "%YAML 1.1\n---\na: yes\n",
    "--- {a: 1}\n",
    "a: 1\na: 2\n",
    "a: b: c\n",
    "a: [1, 2\nb: 3\n",
    "a: !!binary aGVsbG8=\n",
    *(f"a: !!binary {text}\n" for text in ("YQ==YQ==", "YR==", "YQ=", "'Y Q=='", '"YQ\\n=="', "=", "''")),
    "a: !custom b\n",
    "a: &b 1\nc: *unknown\n",
    "a: 9007199254740992\nb: -9007199254740992\nc: 1e309\nd: 1_0.5\n",
    'a: "\\q"\n',
    "\ta: 1\n",
    "a:\n\tb: 1\n",
    "a: {b: c, d}\n",
    "a: [b, c: d, ]\n",
    "{a: 1, 'b': \"2\"}\n",
    "a: x # y\nb: x#y\n# z\n",
    "a: multi\n  line\n  plain\n",
    "'quoted': 1\n\"double\": 2\n",
    "a: >\n\n  x\n   more\n  y\nb: |2\n   x\n",
    # A merge key overrides what comes before it.
    "a: 1\n<<: {a: 2, b: 3}\n",
    "a: {b: 1, <<: {b: 2}}\n",
    "a: 1\n<<: {a: 2}\na: 3\n",
    "<<: {a: 1}\na: 2\n<<: {b: 1}\n",
    "<<: {a: 1}\n<<: {a: 2}\n",
    "a: 0\n<<: [{a: 1, b: 1}, {b: 2, c: 3}]\n",
    "x: &x {a: 1}\ny: &y {<<: *x, a: 2}\nz: {a: 0, <<: *y}\n",
    "x: &x [{a: 1}]\ny: {<<: *x}\n",
    "x: &x {a: 1}\ny: {<<: [*x]}\n",
    "a: {<<: 1}\n",
    "a: {<<: [1]}\n",
    "a: {<<: }\n",
    # Tags on merge keys and on other keys and values.
    *(
        f"a: {{b: 1, {tag} <<: {{b: 2}}}}\n"
        for tag in ("!!str", "!!merge", "!", "!x", "!!str &m", "&m !!str", "!<tag:yaml.org,2002:str>")
    ),
    *(f"a: {{b: 1, {tag} '<<': {{b: 2}}}}\n" for tag in ("!!str", "!!merge", "!")),
    *(
        f"{tag}: a\n"
        for tag in (
            "!!str 1",
            "!!int 1",
            "!!float 1",
            "!!bool y",
            "!!null ~",
            "!!binary YQ==",
            "!!int '1'",
            "! 1",
            "!x y",
        )
    ),
    *(f"a: !!int {text}\n" for text in ("1.0", "1e3", "0x1f", "-1_0", "18446744073709551616", "''")),
    *(
        f"a: !!timestamp {text}\n"
        for text in ("2001-01-01", "2001-2-3", "x", "''", "'2001-01-01'", "2001-01-01T1:2:3Z", "2001-13-01")
    ),
    # Anchors with other characters than letters, digits, `_` and `-`.
    *(f"a: &{name} b\nc: *{name}\n" for name in ("x", "x-y", "x.y", "é", "/x", "x:", "(", ")x")),
    "a: |\n  b && c &d. &>e\n",
    'a: {"<<": {b: 1}}\n',
    # Directives.
    "%YAML 1.2\n---\na: 1\n",
    "%YAML 1.0\n---\na: 1\n",
    "%TAG ! tag:x,2000:\n---\na: 1\n",
    "%FOO\n---\na: 1\n",
    # Characters that are no text, and line ends of YAML 1.1.
    *(f"a: x{sign}y\n" for sign in "\x00\x07\x1b\x7f\x80\x85\x9f\u2028\u2029\ufeff\ufffe\uffff\U0001f600"),
    *(f'a: "x{sign}y"\n' for sign in "\x00\x07\x7f\x80\x85\u2028\ufeff\ufffe"),
    *(f"a: |\n  x{sign}y\n" for sign in "\x07\x85\u2028\ufeff"),
    'a: "\\x07\\e\\N\\_\\L\\P"\n',
    "a: b\rc: d\n",
    "a: |\r  x\r  y\r",
    # An escape that JSON has, and YAML 1.1 has not.
    'a: "x\\/y"\n',
    '"a\\/b": 1\n',
    'a: "x\\\\/y"\n',
    "a: 'x\\/y'\nb: x\\/y\nc: |\n  \"x\\/y\"\n",
    # Tabs.
    "a: |\n  \tx\n",
    "a: >\n  \tx\n",
    "a:\n  - |\n   \tx\n",
    "a: |2\n  \tx\n",
    "a: |\n  x\n  \ty\n",
    "a: |\n  x\n \t\n  y\n",
    "a: |\n  x\n  \t\n  y\n",
    "a: 1\n  \t\nb: 2\n",
    "a: 1\n\t\nb: 2\n",
    "a: 1 \t\nb: 2\n",
    "a:\n  b: 1\n \t\n  c: 1\n",
    "a:\n  b: |\n    x\n  \t\n  c: 1\n",
    "a: 1\n# c\n\t# d\nb: 1\n",
    "-\ta\n",
    "?\ta\n:\tb\n",
    "a:\tb\n",
    "\t\na: 1\n",
    "a: 1\n\t",
    "a: x\n  \ty\n",
    'a: "x\n\ty"\n',
    '{\n\t"a": 1,\n\t"b": [\n\t\t2]\n}',
]


def theirs(texts: Sequence[str], folder: Path) -> list[Any]:
    """Each text as Helm's `fromYaml` reads it."""
    chart = folder / "chart"
    (chart / "files").mkdir(parents=True, exist_ok=True)
    (chart / "templates").mkdir(exist_ok=True)
    for old in (chart / "files").iterdir():
        old.unlink()
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: oracle\nversion: 1.0.0\n")
    (chart / "templates" / "read.yaml").write_text(TEMPLATE)
    for number, text in enumerate(texts):
        (chart / "files" / f"{number:05}").write_bytes(text.encode())
    code, out, words = run_command([toolchain.DEFAULT_TOOLCHAIN.find("helm"), "template", chart], 60)
    assert code == 0, words
    lines = [orjson.loads(line) for line in out.splitlines() if line.startswith(b"{")]
    assert len(lines) == len(texts)
    values = {line["path"]: line["value"] for line in lines}
    return [_outcome(values[f"files/{number:05}"]) for number in range(len(texts))]


def _outcome(value: Any) -> Any:
    failed = isinstance(value, dict) and str(value.get("Error", "")).startswith(("error ", "yaml: ", "json: "))
    return FAILED if failed else value


def ours(text: str) -> Any:
    found, failure = documents.parse(text.encode())
    if failure is not None:
        return FAILED
    return documents.to_value(found[0]) if found else {}


def differences(texts: Sequence[str], folder: Path) -> list[tuple[str, Any, Any]]:
    pairs = zip(texts, theirs(texts, folder), (ours(text) for text in texts), strict=True)
    return [(text, their, our) for text, their, our in pairs if their != our]


def test_forms(tmp_path: Path) -> None:
    assert differences(FORMS, tmp_path) == []


LAYOUT = [
    *(
        "a",
        "b: ",
        "key: ",
        "- ",
        "x",
        "\n",
        "\n",
        "\n  ",
        "\n   ",
        "\t",
        " ",
        '"',
        "'",
        "|",
        "|\n   ",
        ">",
        "\n\t",
        "# c",
    ),
    *("{", "}", "[", "]", ",", ": ", "<<: ", "<<: {a: 1}\n", "&a ", "*a", "!!str ", "? ", "\\/", "\\x41", "\r\n", "\r"),
    *("%YAML 1.2\n---\n", "%TAG ! x\n---\n", "\x07", "\x7f", "\ufffe", "\x85", "\u2028", "1", "é", " \t\n", '"q\\n"'),
]
# Helm reads the first document of a text, the gate all of them.
IS_ONE_DOCUMENT = re.compile(r"(%[^\n]*\n)*(---\n)?(?!.*(^|[\r\n\x85\u2028])(---|\.\.\.))", re.DOTALL)


@given(some.lists(some.lists(some.sampled_from(LAYOUT), min_size=1, max_size=9), min_size=300, max_size=300))
@settings(max_examples=4, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_layout(tmp_path_factory: Any, words: list[list[str]]) -> None:
    joined = ("".join(pieces) for pieces in words)
    texts = [text for text in (f"k: {text}" for text in joined) if IS_ONE_DOCUMENT.match(text)]
    assert differences(texts, tmp_path_factory.mktemp("oracle")) == []


TAGS = [
    *(
        "!!str ",
        "!!merge ",
        "! ",
        "!!int ",
        "!!float ",
        "!!bool ",
        "!!null ",
        "!!binary ",
        "!!map ",
        "!!seq ",
        "!!set ",
    ),
    *(
        "!!timestamp ",
        "!custom ",
        "!<tag:yaml.org,2002:str> ",
        "<<: ",
        "'<<': ",
        "{a: 1}",
        "[{a: 1}]",
        "*a",
        "&a {b: 1}\n",
    ),
    *(
        "1: ",
        "y: ",
        "~: ",
        "1.0: ",
        "0x10: ",
        "YQ==",
        "2001-01-01",
        "1",
        "1.5",
        "'1'",
        "x",
        "a: ",
        "b: ",
        "\n",
        "\n  ",
        "- ",
    ),
]
# Helm ignores what comes after the first node of a document, and the gate refuses it.
IGNORED_REST = "did not find expected <document start>"


@given(some.lists(some.lists(some.sampled_from(TAGS), min_size=1, max_size=7), min_size=300, max_size=300))
@settings(max_examples=4, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_tags(tmp_path_factory: Any, words: list[list[str]]) -> None:
    texts = [f"a: &a {{x: 1}}\n{''.join(pieces)}" for pieces in words]
    failures = (documents.parse(text.encode())[1] for text in texts)
    texts = [text for text, failure in zip(texts, failures, strict=True) if not failure or failure[0] != IGNORED_REST]
    assert differences(texts, tmp_path_factory.mktemp("oracle")) == []


@given(some.lists(some.lists(some.sampled_from(PIECES), min_size=1, max_size=4), min_size=300, max_size=300))
@settings(max_examples=4, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_scalars(tmp_path_factory: Any, words: list[list[str]]) -> None:
    texts = [f"v: {''.join(pieces)}\n" for pieces in words]
    assert differences(texts, tmp_path_factory.mktemp("oracle")) == []
