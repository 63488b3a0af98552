"""Reading of fields."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.kube.decoder import FieldError, FieldReader

VALUE = {
    "apiVersion": "source.toolkit.fluxcd.io/v1",
    "kind": "GitRepository",
    "text": "a",
    "empty": "",
    "number": 3,
    "flag": True,
    "null": None,
    "list": ["a", "b"],
    "mixed": ["a", 1],
    "map": {"a": "b"},
    "numbers": {"a": 1},
    "objects": [{"name": "x"}, {"name": 1}],
}


def test_fields_are_read_by_their_type() -> None:
    fields = FieldReader(VALUE)
    assert (fields.read_string("text"), fields.read_string("null", "d")) == ("a", "d")
    assert (fields.read_bool("flag"), fields.read_bool("missing")) == (True, False)
    assert (fields.read_integer("number", 1), fields.read_integer("missing", 1)) == (3, 1)
    assert (fields.read_string_list("list"), fields.read_string_map("map")) == (("a", "b"), {"a": "b"})
    assert fields.read_object("missing") is None
    assert next(fields.read_objects("objects")).read_string("name") == "x"


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda fields: fields.read_string("missing"), "`missing` is missing"),
        (lambda fields: fields.read_string("empty"), "`empty` is missing"),
        (lambda fields: fields.read_string("number"), "`number` must be a string"),
        (lambda fields: fields.read_bool("text"), "`text` must be a boolean"),
        (lambda fields: fields.read_integer("flag", 1), "`flag` must be an integer"),
        (lambda fields: fields.read_string_list("mixed"), "`mixed` must be a list of strings"),
        (lambda fields: fields.read_string_map("numbers"), "`numbers.a` must be a string"),
        (lambda fields: fields.read_object("text"), "`text` must be a mapping"),
        (lambda fields: list(fields.read_objects("list")), r"`list\[0\]` must be a mapping"),
        (lambda fields: fields.read_choice("text", ("b", "c"), "b"), "`text` is `a`; it can be b, c"),
        (lambda fields: fields.read_duration("text", 1), "`text` is not a duration"),
        (
            lambda fields: [one.read_string("name") for one in fields.read_objects("objects")],
            r"`objects\[1\].name` must",
        ),
        (lambda fields: fields.read_head("x", ("v1", "v2"), "GitRepository"), "is not a GitRepository of x/v1, v2"),
        (
            lambda fields: fields.read_head("source.toolkit.fluxcd.io", ("v2",), "GitRepository"),
            "is not a GitRepository",
        ),
        (lambda fields: fields.read_head("source.toolkit.fluxcd.io", ("v1",), "Bucket"), "is not a Bucket"),
    ],
)
def test_a_wrong_field_is_an_error_with_its_path(read: Callable[[FieldReader], object], message: str) -> None:
    with pytest.raises(FieldError, match=message):
        read(FieldReader(VALUE))


def test_the_head_of_an_object_gives_its_version() -> None:
    assert FieldReader(VALUE).read_head("source.toolkit.fluxcd.io", ("v1", "v1beta2"), "GitRepository") == "v1"


def test_fields_that_were_not_read_are_rejected() -> None:
    fields = FieldReader({"a": "x", "b": "y"}, ("spec",))
    fields.read_string("a")
    with pytest.raises(FieldError, match=r"`spec\.b` is not supported"):
        fields.reject_unknown()
    fields.has_field("b")
    fields.reject_unknown()


@given(st.integers(0, 999), st.integers(0, 59), st.integers(0, 999))
def test_durations_are_read_as_go_writes_them(hours: int, minutes: int, milliseconds: int) -> None:
    fields = FieldReader({"d": f"{hours}h{minutes}m{milliseconds}ms"})
    assert fields.read_duration("d", 1.0) == pytest.approx(hours * 3600 + minutes * 60 + milliseconds / 1000)


@pytest.mark.parametrize("text", ["1", "1 h", "h", "-1h", "1h ", "", "1d", 5])
def test_text_that_go_does_not_write_is_not_a_duration(text: object) -> None:
    with pytest.raises(FieldError, match="is not a duration"):
        FieldReader({"d": text}).read_duration("d", 1.0)
