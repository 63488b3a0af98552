"""Objects in files: read with their line, written so that they can be read again, and refused with a reason."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.errors import SecretFileError, UsageError
from gatekeeper.terminal import object_io

TEXT = st.text(st.characters(min_codepoint=32, codec="utf-8"), max_size=12)
OBJECTS = st.lists(
    st.fixed_dictionaries({"kind": st.just("Secret"), "data": st.dictionaries(TEXT, TEXT | st.integers(0, 99))}),
    min_size=1,
    max_size=4,
)


@given(OBJECTS)
def test_yaml_output_is_read_again_as_the_same_objects(objects: list[dict[str, Any]]) -> None:
    text = object_io.format_objects(objects, "yaml")
    assert list(yaml.safe_load_all(text)) == objects


@given(OBJECTS)
def test_json_output_is_one_document_for_each_object(objects: list[dict[str, Any]]) -> None:
    for value in objects:
        assert orjson.loads(object_io.format_objects([value], "json")) == value


def test_objects_come_with_the_line_of_their_document() -> None:
    text = b"kind: A\n---\nkind: List\nitems: [{kind: B}, {kind: C}, 7]\n"
    parsed = [(value["kind"], place) for value, place in object_io.parse_objects(text, "f.yaml")]
    assert parsed == [("A", "f.yaml:1"), ("B", "f.yaml:3"), ("C", "f.yaml:3")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff", "f.yaml: not UTF-8 text (byte 0)"),
        (b"a: [1\n", "f.yaml:2:1: invalid YAML or JSON: "),
        (b"kind: A\nb: 1\nb: 2\n", "f.yaml:3: duplicate key `b`, first in line 2; remove one"),
        (b"# nothing\n", "f.yaml: contains no object"),
        (b"just text\n", "f.yaml: contains no object"),
        (b"kind: List\nitems: []\n", "f.yaml: contains no object"),
    ],
)
def test_a_file_without_valid_objects_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(SecretFileError) as raised:
        list(object_io.parse_objects(content, "f.yaml"))
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("path", [None, Path("-")])
def test_input_is_standard_input_without_a_file(path: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from standard input")))
    assert object_io.read_input(path) == b"from standard input"


def test_a_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file or directory"):
        object_io.read_input(tmp_path / "missing")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        object_io.read_input(tmp_path)


def test_a_file_larger_than_any_secret_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as handle:
        handle.truncate(object_io.MAX_BYTES)
    assert len(object_io.read_input(path)) == object_io.MAX_BYTES
    with path.open("ab") as handle:
        handle.write(b"x")
    with pytest.raises(SecretFileError, match="larger than 16 MB"):
        object_io.read_input(path)
