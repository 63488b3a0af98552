"""The gate on SOPS files, without any key: files of the real sops, whole and then damaged."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from gatekeeper.model import Finding
from gatekeeper.sops import creation_rules
from tests.conftest import judge, needs
from tests.sops.conftest import Shop, shop

__all__ = ["shop"]
pytestmark = needs("sops")
VALUE = "hunter2-Zk9vQ1x7Lm3"
FILES: dict[str, bytes] = {
    "a.yaml": f"b: [{VALUE}, 1, true]\n# note\na:\n  - c: {VALUE}\nempty: ''\nnothing: null\n---\nsecond: {VALUE}\n".encode(),
    "a.json": orjson.dumps({"a": VALUE, "b": {"c": 1.5}, "d_unencrypted": "public"}),
    "a.env": f"# note\nA={VALUE}\nB=two words\nC=\n".encode(),
    "a.ini": f"[db]\npassword = {VALUE}\n".encode(),
    "a.bin": b"\x00\xff" + VALUE.encode(),
    "secret.yaml": f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a, namespace: b}}\nstringData: {{password: {VALUE}}}\n".encode(),
}


def told(shop: Shop) -> list[Finding]:
    return [one for one in judge(shop.root).findings if one.rule.startswith(("sops/", "sealed/", "plaintext/"))]


def one(shop: Shop, rule: str) -> Finding:
    found = told(shop)
    assert [finding.rule for finding in found] == [rule], found
    assert VALUE not in found[0].message
    return found[0]


def line_of(path: Path, words: str) -> int:
    return 1 + next(number for number, line in enumerate(path.read_text().splitlines()) if words in line)


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_wrong_with_what_sops_has_just_written(shop: Shop, name: str) -> None:
    if name == "secret.yaml":
        shop.rules(f"age: {shop.key.recipient}\n    encrypted_regex: ^(data|stringData)$")
    shop.encrypted(name, FILES[name])
    assert told(shop) == []


@pytest.mark.parametrize("name", ["a.yaml", "a.json", "a.env", "a.ini", "a.bin"])
@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda text: re.sub(r"data:(..)", r"data:\1!", text, count=1), "its data is not valid base64"),
        (lambda text: re.sub(r"iv:.{8}", "iv:", text, count=1), "its iv"),
        (lambda text: re.sub(r"tag:.{4}", "tag:", text, count=1), "its tag"),
        (lambda text: re.sub(r"type:(str|comment)", "type:text", text, count=1), "unknown type `text`"),
        (lambda text: re.sub(r",tag:[^,]*,", ",", text, count=1), "it does not have the form"),
    ],
)
def test_truncated_or_edited_ciphertext_is_located(
    shop: Shop, name: str, damage: Callable[[str], str], fault: str
) -> None:
    path = shop.encrypted(name, FILES[name])
    text = path.read_text()
    path.write_text(damage(text))
    finding = one(shop, "sops/ciphertext")
    changed = next(
        n for n, (a, b) in enumerate(zip(text.splitlines(), path.read_text().splitlines(), strict=True), 1) if a != b
    )
    assert fault in finding.message and finding.location.line == changed


@pytest.mark.parametrize("name", ["a.yaml", "a.json", "a.env", "a.ini", "a.bin"])
def test_value_replaced_by_plaintext_is_found(shop: Shop, name: str) -> None:
    path = shop.encrypted(name, FILES[name])
    text = path.read_text()
    # The first value, not the first comment.
    start = next(m for m in re.finditer(r"ENC\[[^\]]*\]", text) if "type:comment" not in m[0])
    path.write_text(text[: start.start()] + VALUE + text[start.end() :])
    finding = one(shop, "sops/in-the-clear")
    assert finding.location.line == line_of(path, VALUE) and "is not encrypted" in finding.message


def test_plaintext_secret_value_is_reported_once(shop: Shop) -> None:
    shop.rules(f"age: {shop.key.recipient}\n    encrypted_regex: ^(data|stringData)$")
    path = shop.encrypted("secret.yaml", FILES["secret.yaml"])
    path.write_text(re.sub(r"password: ENC\[[^\]]*\]", f"password: {VALUE}", path.read_text(), count=1))
    assert one(shop, "plaintext/secret").location.line == line_of(path, VALUE)


def test_the_rule_says_what_must_be_encrypted_though_the_file_says_less(shop: Shop) -> None:
    shop.rules(f"age: {shop.key.recipient}\n    encrypted_regex: ^password$")
    path = shop.encrypted("values.yaml", f"password: x\ntoken: {VALUE}\nname: shop\n")
    assert told(shop) == []
    shop.rules(f"age: {shop.key.recipient}\n    encrypted_regex: ^(password|token)$")
    clear, changed = told(shop)
    assert (clear.rule, clear.location.line) == ("sops/in-the-clear", line_of(path, "token"))
    assert (changed.rule, changed.severity, changed.location.line) == (
        "sops/rule-changed",
        "warning",
        line_of(path, "encrypted_regex"),
    )


@pytest.mark.parametrize(
    ("selector", "closed"),
    [
        ("encrypted_suffix: _e", {"a_e", "b"}),
        ("unencrypted_suffix: _e", {"c"}),
        ("encrypted_regex: '^c$|b'", {"b", "c"}),
        ("unencrypted_regex: '(?i)^C$'", {"a_e", "b"}),
        ("encrypted_regex: 'x'", {"list"}),
    ],
)
def test_each_selector_means_what_it_means_to_sops(shop: Shop, selector: str, closed: set[str]) -> None:
    """Whatever sops encrypts, we say it encrypts, and nothing else."""
    shop.rules(f"age: {shop.key.recipient}\n    {selector}")
    path = shop.encrypted("a.yaml", "a_e: 1\nin_e:\n  b: 2\nc: 3\nlist:\n  - {x: 4}\n")
    assert told(shop) == []
    name, text = selector.split(": ", 1)
    own = creation_rules.SopsSelector(name, text.strip("'"))
    for keys in (("a_e",), ("in_e", "b"), ("c",), ("list", "x")):
        is_closed = re.search(rf"\b{keys[-1]}: ENC", path.read_text()) is not None
        assert own.should_encrypt(keys) == is_closed, keys
    assert all(re.search(rf"{key}:( ENC|\n\s+- x: ENC)", path.read_text()) for key in closed)


def test_selectors_by_comment_are_not_guessed_at(shop: Shop) -> None:
    shop.rules(f"age: {shop.key.recipient}\n    encrypted_comment_regex: hide")
    shop.encrypted("a.yaml", f"# hide\na: {VALUE}\nb: open\n")
    assert told(shop) == []


def test_ciphertext_that_sops_would_leave_closed_is_found(shop: Shop) -> None:
    path = shop.encrypted("a.yaml", f"a: {VALUE}\n")
    path.write_text(path.read_text().replace("a: ENC", "a_unencrypted: ENC"))
    assert one(shop, "sops/stays-encrypted").location.line == 1


def test_ciphertext_under_another_key_is_found(shop: Shop) -> None:
    path = shop.encrypted("a.yaml", f"a: {VALUE}\nb: y\n")
    text = path.read_text()
    path.write_text(re.sub(r"^b: .*$", "b: " + text.splitlines()[0].removeprefix("a: "), text, flags=re.MULTILINE))
    finding = one(shop, "sops/copied")
    assert finding.location.line == 2 and "`b` is the ciphertext of `a`" in finding.message


@pytest.mark.parametrize("name", ["a.yaml", "a.json", "a.env", "a.ini"])
def test_incomplete_metadata_is_found(shop: Shop, name: str) -> None:
    path = shop.encrypted(name, FILES[name])
    text = path.read_text()
    path.write_text(re.sub(r"^(\W*(?:sops_)?)mac", r"\1mak", text, flags=re.MULTILINE))
    assert one(shop, "sops/no-mac").location.file == name
    path.write_text(re.sub(r"2\d\d\d-\d\d-\d\dT[0-9:]*Z", "yesterday", text))
    finding = one(shop, "sops/metadata")
    assert "lastmodified" in finding.message and finding.location.line == line_of(path, "yesterday")


def test_values_without_any_metadata_are_found(shop: Shop) -> None:
    path = shop.encrypted("a.yaml", f"a: {VALUE}\n")
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert one(shop, "sops/no-metadata").location.line == 1
