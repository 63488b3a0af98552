"""Scalars as Kubernetes reads them; the agreement with its own reader is tested with whole documents."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.workspace.yaml_scalars import YamlSyntaxError, resolve_scalar


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("~", None),
        ("yes", True),
        ("off", False),
        ("0x1f", 31),
        ("0b101", 5),
        ("010", 8),
        ("1_000", 1000),
        ("-7", -7),
        ("1e3", 1000),
        ("1.5", 1.5),
        ("1.2.3", "1.2.3"),
        (".5_", ".5_"),
        ("0_.5", 0.5),
        ("nginx", "nginx"),
    ],
)
def test_plain_scalars_have_the_type_that_kubernetes_gives_them(text: str, expected: Any) -> None:
    value = resolve_scalar(text, is_plain=True, tag=None)
    assert (value, type(value)) == (expected, type(expected))


def test_quoted_scalars_are_text() -> None:
    assert resolve_scalar("yes", is_plain=False, tag=None) == "yes"


@pytest.mark.parametrize(
    ("text", "tag", "expected"),
    [
        ("5", "int", 5),
        ("-0x1f", "int", -31),
        ("5", "float", 5),
        ("true", "bool", True),
        ("aGk=", "binary", "hi"),
        ("5", "str", "5"),
        ("2024-02-29", "timestamp", "2024-02-29"),
        ("2024-2-9T1:2:3.5Z", "timestamp", "2024-2-9T1:2:3.5Z"),
        ("2024-02-29 01:02:03", "timestamp", "2024-02-29 01:02:03"),
        ("x", "set", "x"),
    ],
)
def test_a_tag_decides_the_type(text: str, tag: str, expected: Any) -> None:
    assert resolve_scalar(text, is_plain=True, tag=f"tag:yaml.org,2002:{tag}") == expected


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        *(
            ("x", "int"),
            ("1", "bool"),
            ("%", "binary"),
            (".nan", None),
            ("1.0", "int"),
            ("1e3", "int"),
            ("", "timestamp"),
        ),
        *(
            (text, "timestamp")
            for text in ("x", "2023-02-29", "2024-01-01T10:00:00", "2024-01-01 25:00:00", "24-01-01")
        ),
    ],
)
def test_values_that_kubernetes_cannot_read_are_refused_at_their_place(text: str, tag: str | None) -> None:
    with pytest.raises(YamlSyntaxError) as caught:
        resolve_scalar(text, is_plain=True, tag=f"tag:yaml.org,2002:{tag}" if tag else None, mark=(3, 4))
    assert caught.value.mark == (3, 4)
