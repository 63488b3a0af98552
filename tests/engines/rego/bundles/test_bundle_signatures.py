"""Signatures of OPA bundles: exactly the signed files, by exactly the named key."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from gatekeeper.engines.rego.bundles.bundle_signatures import verify_bundle
from gatekeeper.errors import PolicyError

FILES = {"team/a.rego": b"package a\n", "data.json": b'{"b": 1, "a": [2]}'}
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def export_public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(encoding, form)


def sign_with(algorithm: str, text: bytes) -> bytes:
    if algorithm == "RS256":
        return RSA_KEY.sign(text, padding.PKCS1v15(), hashes.SHA256())
    if algorithm == "PS512":
        return RSA_KEY.sign(
            text, padding.PSS(padding.MGF1(hashes.SHA512()), hashes.SHA512().digest_size), hashes.SHA512()
        )
    if algorithm == "HS256":
        mac = hmac.HMAC(export_public(RSA_KEY), hashes.SHA256())
        mac.update(text)
        return mac.finalize()
    if algorithm == "none":
        return b""
    numbers = decode_dss_signature(EC_KEY.sign(text, ec.ECDSA(hashes.SHA256())))
    return b"".join(number.to_bytes(32, "big") for number in numbers)


def encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def list_entries(files: Mapping[str, bytes], hash_name: str = "SHA-256") -> list[dict[str, Any]]:
    canonical = {**files}
    if "data.json" in canonical:
        canonical["data.json"] = orjson.dumps(orjson.loads(files["data.json"]), option=orjson.OPT_SORT_KEYS)
    digest = hash_name.replace("-", "").lower()
    return [
        {"name": name, "hash": hashlib.new(digest, content).hexdigest(), "algorithm": hash_name}
        for name, content in canonical.items()
    ]


def sign(entries: list[dict[str, Any]], algorithm: str = "RS256") -> bytes:
    text = f"{encode(orjson.dumps({'alg': algorithm}))}.{encode(orjson.dumps({'files': entries}))}"
    return orjson.dumps({"signatures": [f"{text}.{encode(sign_with(algorithm, text.encode()))}"]})


@pytest.mark.parametrize("hash_name", ["SHA-256", "SHA-512"])
@pytest.mark.parametrize("algorithm", ["RS256", "PS512", "ES256"])
def test_a_signature_of_the_key_is_accepted(algorithm: str, hash_name: str) -> None:
    key = EC_KEY if algorithm == "ES256" else RSA_KEY
    signatures = sign(list_entries(FILES, hash_name), algorithm)
    verify_bundle(FILES, signatures, export_public(key), "x")
    with pytest.raises(PolicyError):
        verify_bundle({**FILES, "data.json": b"{}"}, signatures, export_public(key), "x")


def test_data_is_signed_by_its_value_and_not_by_its_bytes() -> None:
    other = {**FILES, "data.json": b'{ "a": [2], "b": 1 }'}
    signatures = sign(list_entries(FILES))
    verify_bundle(other, signatures, export_public(RSA_KEY), "x")
    with pytest.raises(PolicyError):
        verify_bundle({**FILES, "data.json": b'{"a": [3], "b": 1}'}, signatures, export_public(RSA_KEY), "x")


@pytest.mark.parametrize(
    ("algorithm", "reason"),
    [("HS256", "does not fit the key"), ("none", "does not fit the key"), ("ES256", "does not fit the key")],
)
def test_the_token_cannot_choose_another_family_of_algorithms(algorithm: str, reason: str) -> None:
    with pytest.raises(PolicyError, match=f"x: invalid signature: .*{reason}"):
        verify_bundle(FILES, sign(list_entries(FILES), algorithm), export_public(RSA_KEY), "x")


def test_a_signature_by_another_key_is_refused() -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(PolicyError, match="signed by another key"):
        verify_bundle(FILES, sign(list_entries(FILES)), export_public(other), "x")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda files: {**files, "team/a.rego": b"package b\n"}, "team/a.rego was changed after it was signed"),
        (lambda files: {**files, "data.json": b'{"b": 2, "a": [2]}'}, "data.json was changed"),
        (lambda files: {**files, "more.rego": b""}, "more.rego is not signed"),
        (lambda files: {"data.json": files["data.json"]}, "the signed file team/a.rego is missing"),
    ],
)
def test_other_files_than_the_signed_ones_are_refused(
    change: Callable[[dict[str, bytes]], dict[str, bytes]], reason: str
) -> None:
    with pytest.raises(PolicyError, match=reason):
        verify_bundle(change(FILES), sign(list_entries(FILES)), export_public(RSA_KEY), "x")


def test_a_weak_hash_is_refused() -> None:
    with pytest.raises(PolicyError, match="has the hash algorithm 'MD5'"):
        verify_bundle(FILES, sign(list_entries(FILES, "MD5")), export_public(RSA_KEY), "x")


@pytest.mark.parametrize(
    "signatures",
    [
        b"",
        b"{}",
        b'{"signatures": []}',
        b'{"signatures": ["a.b"]}',
        b'{"signatures": ["a.b.c"]}',
        b'{"signatures": [7]}',
    ],
)
def test_a_malformed_signature_is_refused(signatures: bytes) -> None:
    with pytest.raises(PolicyError, match="x: invalid signature"):
        verify_bundle(FILES, signatures, export_public(RSA_KEY), "x")


def test_two_signatures_are_refused() -> None:
    [token] = orjson.loads(sign(list_entries(FILES)))["signatures"]
    with pytest.raises(PolicyError, match="invalid signature"):
        verify_bundle(FILES, orjson.dumps({"signatures": [token, token]}), export_public(RSA_KEY), "x")
