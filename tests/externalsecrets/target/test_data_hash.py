"""Hashes as external-secrets computes them."""

from __future__ import annotations

from gatekeeper.externalsecrets.target.data_hash import compute_data_hash, compute_go_hash
from gatekeeper.secret_value import SecretBytes


def test_hash_is_that_of_the_printed_go_map() -> None:
    data = {"b": SecretBytes(b"\x00\xff"), "a": SecretBytes(b"")}
    assert compute_data_hash(data) == compute_go_hash("map[a:[] b:[0 255]]")
    assert compute_go_hash("") == "6b4e03423667dbb73b6e15454f0eb1abd4597f9a1b078e3f5b5a6bc7"


def test_hash_does_not_depend_on_the_order_of_keys() -> None:
    values = {key: SecretBytes(key.encode()) for key in ("z", "é", "a")}
    assert compute_data_hash(values) == compute_data_hash(dict(reversed(values.items())))
    assert compute_data_hash(values) != compute_data_hash({**values, "a": SecretBytes(b"b")})
