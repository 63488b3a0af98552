"""What is made of a store's answer: parts, keys, decoding and renaming, as external-secrets does it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.externalsecrets.model import KeyRewrite
from gatekeeper.externalsecrets.target import data_hash, value_transforms
from gatekeeper.externalsecrets.target.value_transforms import ValueTransformError
from gatekeeper.gocompat import client
from gatekeeper.gocompat.client import GoFault
from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.protocol import encode_go_json
from gatekeeper.upstream import expressions
from gatekeeper.upstream.expressions import PathLookup, PatternRename
from tests.conftest import needs

pytestmark = needs("gotemplate")
TEXT = SecretBytes(
    b'{"a":"x","n":1.50,"o":{"p": "q"},"l":["u",{"v":"w"}],"d.o":"t","d":{"o":"no"},"s":null,"b":true,"x*":"star"}'
)


def part(path: str) -> bytes | None:
    [found] = value_transforms.extract_parts([(TEXT, path)])
    return None if found is None else found.reveal()


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", b"x"),
        ("o.p", b"q"),
        ("o", b'{"p": "q"}'),
        ("l.0", b"u"),
        ("l.1.v", b"w"),
        ("l.#", b"2"),
        ("d.o", b"t"),
        ("b", b"true"),
        ("s", b""),
        ("n", b"1.5"),
        ("x*", b"star"),
        ('l.#(v=="w").v', b"w"),
        ("nothing", None),
        ("o.nothing", None),
        ("", TEXT.reveal()),
        ("o.p.q", None),
        ("@this.a", b"x"),
    ],
)
def test_a_part_is_what_external_secrets_takes(path: str, found: bytes | None) -> None:
    assert part(path) == found


def test_value_that_is_not_json_has_no_property() -> None:
    assert value_transforms.extract_parts([(SecretBytes(b"hello"), "a"), (SecretBytes(b"\xff\xfe"), "a")]) == [
        None,
        None,
    ]


def test_each_key_of_an_object_becomes_a_value() -> None:
    found = {key: value.reveal() for key, value in value_transforms.extract_values(TEXT).items()}
    assert found["a"] == b"x" and found["n"] == b"1.50" and found["o"] == b'{"p": "q"}' and found["s"] == b""
    with pytest.raises(ValueTransformError, match="is not a JSON object"):
        value_transforms.extract_values(SecretBytes(b"[1]"))


@pytest.mark.parametrize(
    ("value", "how", "found"),
    [
        (b"aGk=", "Base64", b"hi"),
        (b"-_8=", "Base64URL", b"\xfb\xff"),
        (b"aGk=", "None", b"aGk="),
        (b"aG\nk=", "Base64", b"hi"),
        (b"-_8=", "Auto", b"\xfb\xff"),
        (b"no!", "Auto", b"no!"),
        (b"aGk", "Base64", None),
        (b"no!", "Base64", None),
        (b"-_8=", "Base64", None),
    ],
)
def test_values_are_decoded(value: bytes, how: str, found: bytes | None) -> None:
    if found is None:
        with pytest.raises(ValueTransformError):
            value_transforms.decode_value(SecretBytes(value), how)
    else:
        assert value_transforms.decode_value(SecretBytes(value), how).reveal() == found


@pytest.mark.parametrize(
    ("key", "how", "new"),
    [
        ("a/b c", "Default", "a_b_c"),
        ("a/b", "Unicode", "a_U002f_b"),
        ("grün-1.x_y", "Default", "grün-1.x_y"),
        ("🔑", "Unicode", "_U1f511_"),
    ],
)
def test_keys_are_converted(key: str, how: str, new: str) -> None:
    assert list(value_transforms.convert_keys({key: SecretBytes(b"")}, how)) == [new]


def test_keys_that_become_the_same_are_refused() -> None:
    with pytest.raises(ValueTransformError, match="two keys become `a_b`"):
        value_transforms.convert_keys({"a/b": SecretBytes(b""), "a b": SecretBytes(b"")}, "Default")
    with pytest.raises(ValueTransformError, match="contains `/`"):
        value_transforms.check_keys({"a/b": SecretBytes(b"")})


def renamed(rule: KeyRewrite, *keys: str) -> list[str]:
    return list(value_transforms.rewrite_keys({key: SecretBytes(key.encode()) for key in keys}, [rule]))


def test_keys_are_renamed_by_pattern_and_by_template() -> None:
    assert renamed(KeyRewrite("Regexp", "db/(.*)", "${1}_x"), "db/a", "b") == ["a_x", "b"]
    assert renamed(KeyRewrite("Transform", '{{ .value | upper | trimSuffix "X" }}'), "ax", "b") == ["A", "B"]
    for rule in (KeyRewrite("Regexp", "(", ""), KeyRewrite("Transform", "{{ .value | nothing }}")):
        with pytest.raises(ValueTransformError, match=r"`rewrite\[0\]`"):
            renamed(rule, "a")


def test_values_are_merged() -> None:
    held = {"a": SecretBytes(b'{"x": "1", "y": {"z": "<"}}'), "b": SecretBytes(b'{"x": "2"}')}
    found = value_transforms.rewrite_keys(held, [KeyRewrite("Merge", is_conflict_allowed=True)])
    assert {key: value.reveal() for key, value in found.items()} == {"x": b"2", "y": b'{"z":"\\u003c"}'}
    found = value_transforms.rewrite_keys(
        held, [KeyRewrite("Merge", is_conflict_allowed=True, priority=("a",), into="all", is_json=True)]
    )
    assert json.loads(found["all"].reveal())["x"] == "1" and set(found) == {"a", "b", "all"}
    for rule, words in (
        (KeyRewrite("Merge"), "`x` is in two"),
        (KeyRewrite("Merge", priority=("c",)), "`x` is in two|names `c`"),
    ):
        with pytest.raises(ValueTransformError, match=words):
            value_transforms.rewrite_keys(held, [rule])


def test_templates_see_the_values_and_say_what_fails_without_them() -> None:
    data = {"password": SecretBytes(b"hunter2"), "a.b": SecretBytes(b"x")}
    found = client.fill_templates(
        [
            '{{ .password | b64enc }}{{ index . "a.b" }}',
            "{{ .none }}",
            "{{ .password | fromJson | first }}",
            "{{ if",
            '{{ getHostByName "x" }}',
        ],
        data,
    )
    assert isinstance(found[0], SecretBytes) and found[0].reveal() == b"aHVudGVyMg==x"
    reasons = [one.reason for one in found[1:] if isinstance(one, GoFault)]
    assert reasons[0] == "names `none`, which there is not (line 1, column 3)"
    assert len(reasons) == 4 and not any("hunter2" in one for one in reasons)


def test_requests_run_in_parallel() -> None:
    values = expressions.look_up_paths([PathLookup(TEXT, "a"), PathLookup(TEXT, "zz"), PathLookup(TEXT, "n", True)])
    assert [one and one.reveal() for one in values] == [b"x", None, b"1.50"]
    assert expressions.rename_by_pattern(PatternRename(("a",), "a", "b")) == ["b"]


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.text(max_size=6), st.text(max_size=8) | st.integers() | st.booleans() | st.none(), max_size=5)
)
def test_json_is_written_as_go_writes_it(value: dict[str, object]) -> None:
    text = encode_go_json(value)
    assert json.loads(text) == value and not set(b"<>&") & set(text)


def test_the_hash_is_that_of_external_secrets() -> None:
    """SHA3-224 of how Go prints `map[string][]byte{"a": {1, 255}, "foo": "bar"}`; worked out with Go itself."""
    data = {"foo": SecretBytes(b"bar"), "a": SecretBytes(b"\x01\xff"), "b": SecretBytes(b"")}
    assert data_hash.compute_data_hash(data) == "67b564bbfd303baad04ca97eaee6ca55d5e6a3c1fb741280b8cdbc91"
