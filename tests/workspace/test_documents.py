"""Reading: what Kubernetes' own reader makes of a text, with the place of every value; both readers agree."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as some

from gatekeeper._native import parse_yaml
from gatekeeper.errors import UsageError
from gatekeeper.workspace import documents, yaml_fallback
from gatekeeper.workspace.tree import Tree
from tests.conftest import Repository

READERS: dict[str, Any] = {"compiled": parse_yaml, "events": yaml_fallback.parse_yaml}

# What sigs.k8s.io/yaml (go-yaml v2) reads.
SCALARS = [
    ("yes", True),
    ("No", False),
    ("on", True),
    ("OFF", False),
    ("y", True),
    ("n", False),
    ("True", True),
    ("null", None),
    ("~", None),
    ("", None),
    ("0777", 511),
    ("0o17", 15),
    ("0x1F", 31),
    ("0b101", 5),
    ("1_000", 1000),
    ("+1", 1),
    ("-7", -7),
    ("-0", 0),
    ("08", 8),
    ("12:30:45", "12:30:45"),
    ("1.0", 1),
    ("1e3", 1000),
    (".5", 0.5),
    ("1.5e-3", 0.0015),
    ("2001-01-01", "2001-01-01"),
    ("1.2.3", "1.2.3"),
    ("0x", "0x"),
    ("-", None),
    ("1e400", "1e400"),
    ("18446744073709551615", 18446744073709551615),
    ("'yes'", "yes"),
    ('"1"', "1"),
    ("!!str 1", "1"),
    ("!x 1", "1"),
    ("!!int '3'", 3),
    ("100m", "100m"),
    ("-1.5", -1.5),
    ("1__0", 10),
    ("0o8", "0o8"),
    ("e1", "e1"),
    ("!!float 3", 3),
    ("!!binary aGk=", "hi"),
]


def read(reader: str, text: str | bytes) -> Any:
    [(found, failure)] = READERS[reader]([text.encode() if isinstance(text, str) else text], 1)
    assert failure is None, failure
    return [orjson.loads(document.json) for document in found]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("text", "value"), [pair for pair in SCALARS if pair[0] != "-"])
def test_scalars_are_typed_as_kubernetes_types_them(reader: str, text: str, value: Any) -> None:
    assert read(reader, f"v: {text}\n") == [{"v": value}]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("a: 1\r\nb: |\r\n  x\r\n  y\r\n", [{"a": 1, "b": "x\ny\n"}], id="CRLF"),
        pytest.param("\ufeffa: 1\n", [{"a": 1}], id="BOM"),
        pytest.param("a: 1\n---\nb: 2\n...\n---\n", [{"a": 1}, {"b": 2}, None], id="many documents"),
        pytest.param(
            "x: &x {a: 1, b: 2}\nm: {<<: *x, b: 3}\n", [{"x": {"a": 1, "b": 2}, "m": {"b": 3, "a": 1}}], id="<<"
        ),
        pytest.param("x: &x {a: 1}\nz: &z {a: 2, c: 3}\nm: {<<: [*x, *z]}\n", None, id="<< of a list"),
        pytest.param("1: a\ntrue: b\n", [{"1": "a", "true": "b"}], id="keys become texts"),
        pytest.param('{"a": [1, 2, {"b": null}]}', [{"a": [1, 2, {"b": None}]}], id="JSON"),
        pytest.param("a: |\n  x", [{"a": "x"}], id="a block text without a line end"),
        pytest.param("a: >-\n  x\n  y\n", [{"a": "x y"}], id="a folded text"),
    ],
)
def test_forms(reader: str, text: str, value: Any) -> None:
    expected = value or [{"x": {"a": 1}, "z": {"a": 2, "c": 3}, "m": {"a": 1, "c": 3}}]
    assert read(reader, text) == expected


@pytest.mark.parametrize("reader", READERS)
def test_every_value_has_its_place(reader: str) -> None:
    text = b"# first\nspec:\n  items:\n  - name: a\n    port: 80\n  - {name: b, port: 81}\n"
    [(found, _)] = READERS[reader]([text], 1)
    document = found[0]
    assert document.locate(("spec", "items", 0, "port")) == (4, 5, 11)
    assert document.locate(("spec", "items", 0, "port"), True) == (4, 5, 5)
    assert document.locate(("spec", "items", 1, "port")) == (4, 6, 21)
    assert document.locate(("spec", "items")) == (2, 3, 3)
    assert document.locate(("spec", "missing", "deeper")) == (1, 2, 1)


@pytest.mark.parametrize("reader", READERS)
def test_a_key_written_twice_is_reported_with_both_lines(reader: str) -> None:
    [(found, _)] = READERS[reader]([b"a: 1\nb: 2\na: 3\n"], 1)
    assert list(found[0].duplicates) == [("a", 3, 1, 1)]
    assert orjson.loads(found[0].json) == {"b": 2, "a": 3}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("a: [1", "", id="an open bracket"),
        pytest.param("a: *nobody\n", "", id="an alias to nothing"),
        pytest.param("a: .inf\n", "has no form in JSON", id="infinity"),
        pytest.param("[" * 10_000, "(nested more than|recursion limit)", id="10,000 levels"),
        pytest.param(
            "a: &a [x, x, x, x, x, x, x, x, x]\n"
            + "".join(
                f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n"
                for old, new in zip("abcdefgh", "bcdefghi", strict=True)
            ),
            "aliases expand",
            id="a YAML bomb",
        ),
        pytest.param("a: !!int x\n", "is tagged !!int", id="a tag that is not so"),
        pytest.param("a: !!binary '?'\n", "is tagged !!binary", id="a binary that is no base64"),
        pytest.param("\ta: 1\n", "", id="a tab that indents"),
        pytest.param("? [a]\n: 1\n", "a key must be", id="a list as key"),
    ],
)
def test_unreadable_file_is_reported_with_its_location(reader: str, text: str, words: str) -> None:
    [(_, failure)] = READERS[reader]([text.encode()], 1)
    assert failure is not None
    assert re.search(words, failure[0])
    assert failure[1] >= 1 and failure[2] >= 1


JSON = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**63), 2**64 - 1) | some.text(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
    max_leaves=20,
)


PIECES = [
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
    *("{", "}", "[", "]", ",", ": ", "<<: ", "<<: {a: 1}\n", "&a ", "*a", "!!str ", "\\/", "\\x41", "\r\n", "\r"),
    *("%YAML 1.2\n---\n", "---\n", "...\n", "\x07", "\x7f", "\ufeff", "\x85", "\u2028", "1", "é", " \t\n", '"q\\n"'),
]


@given(some.lists(some.sampled_from(PIECES), min_size=1, max_size=10))
@settings(max_examples=2000, deadline=None, derandomize=True)
def test_both_readers_agree_on_any_layout(pieces: list[str]) -> None:
    text = f"k: {''.join(pieces)}".encode()
    [fallback] = yaml_fallback.parse_yaml([text], 1)
    outcomes: list[Any] = [documents.parse(text), fallback]
    assert bool(outcomes[0][1]) == bool(outcomes[1][1])
    values = [[orjson.loads(document.json) for document in found] for found, failure in outcomes if failure is None]
    assert values == [] or values[0] == values[1]


@settings(deadline=None)
@given(some.dictionaries(some.text(min_size=1), JSON, min_size=1))
# The compiled reader leaves what looks like an unusual anchor to the other one.
@example({"{&": None})
def test_both_readers_agree_on_whatever_yaml_writes(value: Any) -> None:
    text = yaml.safe_dump(value).encode()
    outcomes: list[Any] = [documents.parse(text), yaml_fallback.parse_yaml([text], 1)[0]]
    assert [failure for _, failure in outcomes] == [None, None]
    values = [[orjson.loads(document.json) for document in found] for found, _ in outcomes]
    assert values[0] == values[1]


DISPUTED = [
    "%YAML 1.2\n---\na: 1\n",
    "a: x\x07y\n",
    "a: x\x7fy\n",
    "a: x\x85y\n",
    "a: x\u2028y\n",
    "a: x\ufffey\n",
    'a: "x\\/y"\n',
    "a: |\n  \tx\n",
    "a:\n  b: 1\n \t\n  c: 1\n",
    "-\ta\n",
    "a: 1\n\ufeffb: 2\n",
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", DISPUTED)
def test_what_kubernetes_refuses_no_reader_takes(reader: str, text: str) -> None:
    [(_, failure)] = READERS[reader]([text.encode()], 1)
    assert failure is not None
    assert documents.parse(text.encode())[1] is not None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": "x\\/y"}', {"a": "x/y"}),
        ('{"a": "x\\\\/y"}', {"a": "x\\/y"}),
        ('{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        ('{"a": "\x7f\x85\u2028\ufeff\uffff"}', {"a": "\x7f\x85\u2028\ufeff\uffff"}),
        ('\ufeff{\n\t"a":\t[\n\t\t1]\n}\n', {"a": [1]}),
        ('a: "\\x07"\n', {"a": "\x07"}),
        ("a: |\n  x\n  \ty\n", {"a": "x\n\ty\n"}),
        ("%YAML 1.1\n---\na: 1\n", {"a": 1}),
        ('a: "x\u2028y"\n', {"a": "x\u2028y"}),
        ("a: 1\n<<: {a: 2, b: 3}\n", {"a": 2, "b": 3}),
        ("<<: {a: 2, b: 3}\na: 1\n", {"a": 1, "b": 3}),
        ("a: |\n  x\n ", {"a": "x\n"}),
        ("a: >\n  x\n\n  ", {"a": "x\n"}),
        ("a: |\n  x", {"a": "x"}),
        ("<<: {a: 1}\n<<: {a: 2}\n", {"a": 2}),
        ("a: 0\n<<: [{a: 1, b: 1}, {b: 2}]\n", {"a": 1, "b": 1}),
    ],
)
def test_what_kubernetes_reads_is_read_the_same_way(text: str, value: Any) -> None:
    [fallback] = yaml_fallback.parse_yaml([text.encode()], 1)
    outcomes: list[Any] = [documents.parse(text.encode()), fallback]
    for found, failure in outcomes:
        assert failure is None and documents.to_value(found[0]) == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\n<<: {b: 3}\n", [("<<", 3, 1, 2)]),
        ("b: 3\n<<: {b: 3}\n", []),
        ("<<: {b: 3}\nb: 2\n", []),
        ("b: 1\n<<: {b: 2}\nb: 3\n", []),
        ("<<: {b: 3}\n<<: {b: 4}\n", [("<<", 2, 1, 1)]),
    ],
)
def test_a_merge_key_that_overrides_is_reported_with_both_lines(text: str, expected: list[Any]) -> None:
    found, _ = documents.parse(text.encode())
    assert [entry for entry in found[0].duplicates if entry[0] == "<<"] == expected


def test_places_are_found_in_each_document_of_a_text() -> None:
    text = b"a: 1\n---\nb:\n  c: 2\n---\n- d\n- e: \xc3\xa9\n"
    for reader in READERS.values():
        [(found, _)] = reader([text], 1)
        assert [document.start for document in found] == [(1, 1), (3, 1), (6, 1)]
        assert found[1].locate(("b", "c")) == (2, 4, 6)
        assert found[2].locate((1, "e")) == (2, 7, 6)
        assert found[2].locate((1, "e", "f")) == (2, 7, 6)


def test_document_that_only_the_strict_parser_rejects_is_parsed_again() -> None:
    text = b'a:\n  description: "one\n  two"\n  b: 1\n'
    found, failure = documents.parse(text)
    assert failure is None
    assert documents.to_value(found[0]) == {"a": {"description": "one two", "b": 1}}


def test_more_content_than_memory_should_hold_is_refused(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content that is not parsed does not count."""
    monkeypatch.setattr(documents, "MAX_PARSED_BYTES", 1 << 20)
    text = f"a: {'x' * (1 << 19)}\n"
    tree = Tree(repository({"a.yaml": text, "b.txt": text * 9}), ["a.yaml", "b.txt"])
    assert len(documents.parse_tree(tree, 1)[0]) == 1
    tree = Tree(repository({"a.yaml": text, "b.yaml": text}), ["a.yaml", "b.yaml"])
    with pytest.raises(UsageError, match="more than 1 MB of YAML and JSON; name folders to check one after the other"):
        documents.parse_tree(tree, 1)
