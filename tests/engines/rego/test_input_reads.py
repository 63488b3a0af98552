"""Texts that show all that they read, and texts that may read more."""

from __future__ import annotations

import pytest

from gatekeeper.engines.rego.input_reads import NAME_PLACEHOLDER, find_input_reads

HEAD = "package main\nimport rego.v1\n"
SHOP = {"kind": "Pod", "metadata": {"name": "shop-7", "labels": {"a": "b"}}, "spec": {"host": True, "os": 1}}


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ("input.spec.host", {"spec": {"host": True}}),
        ('input["spec"].os == 1', {"spec": {"os": 1}}),
        ("input.metadata.labels[k]", {"metadata": {"labels": {"a": "b"}}}),
        ("input.spec.host; input.spec", {"spec": {"host": True, "os": 1}}),
        ("input.spec.none.more", {"spec": {}}),
        ('"input" == "with data"; input.kind # data.x', {"kind": "Pod"}),
        ("input.kind.data.input", {"kind": "Pod"}),
    ],
)
def test_the_parts_that_are_read(body: str, parts: object) -> None:
    reads = find_input_reads([f"{HEAD}deny contains msg if {{ {body}; msg := 1 }}\n"])
    assert reads is not None and reads.select(SHOP) == parts


@pytest.mark.parametrize(
    "text",
    [
        "x := input",
        "x := input[k]",
        "x := input.spec.a[3]",
        "x := data.lib.f(input.spec)",
        "import data.lib",
        "import input.spec as s",
        "x := 1 with input.a as 2",
        'x := $"{input.a}"',
        "f(input) := 1",
    ],
)
def test_a_text_that_may_read_more(text: str) -> None:
    assert find_input_reads([HEAD, text]) is None


def test_a_name_that_is_only_written_is_replaced() -> None:
    reads = find_input_reads([HEAD + 'deny contains msg if {\n msg := sprintf("%s: no", [input.metadata.name])\n}\n'])
    assert reads is not None
    assert reads.replace_name(reads.select(SHOP)) == ({"metadata": {"name": NAME_PLACEHOLDER}}, "shop-7")


@pytest.mark.parametrize(
    "body",
    [
        'msg := sprintf("%s", [input.metadata.name]); startswith(msg, "a")',
        'msg := sprintf("%s", [input.metadata.name]); input.metadata.name == "a"',
        'msg := sprintf("%q", [input.metadata.name])',
        'msg := sprintf("%s", [input.metadata.name]); input.metadata.labels == "shop-7"',
        'msg := sprintf("%s", [input.metadata.name]); input.metadata',
    ],
)
def test_a_name_that_can_matter_stays(body: str) -> None:
    reads = find_input_reads([HEAD + f"deny contains msg if {{ {body} }}\n"])
    assert reads is not None
    value = reads.select(SHOP)
    assert reads.replace_name(value) == (value, "")
