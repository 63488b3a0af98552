"""Certificates and private keys from PEM and from the controller's Secrets."""

from __future__ import annotations

import base64
import datetime

import orjson
import pytest

from gatekeeper.errors import SecretFileError
from gatekeeper.sealedsecrets import keyring

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
FIRST = keyring.create_key_pair(2048, 30, NOW - datetime.timedelta(days=1))
SECOND = keyring.create_key_pair(2048, 30, NOW + datetime.timedelta(days=1))


def key_list(*pairs: tuple[bytes, bytes]) -> bytes:
    secrets = [keyring.build_key_secret(*pair, f"key{number}", "kube-system") for number, pair in enumerate(pairs)]
    for number, secret in enumerate(secrets):
        secret["metadata"]["creationTimestamp"] = f"2026-01-0{number + 1}T00:00:00Z"
    return orjson.dumps({"apiVersion": "v1", "kind": "List", "items": secrets})


def test_created_pair_belongs_together_and_is_valid_for_the_days_asked_for() -> None:
    certificate = keyring.parse_certificate(FIRST[0], "c")
    [key] = keyring.load_keys([("k", FIRST[1])])
    assert key.fingerprint == certificate.fingerprint == keyring.compute_fingerprint(key.private_key.public_key())
    assert certificate.not_after - certificate.not_before == datetime.timedelta(days=30)
    assert repr(key) == f"SealingKey({key.fingerprint})"


def test_certificate_that_is_not_valid_yet_is_refused_unless_that_is_allowed() -> None:
    with pytest.raises(SecretFileError, match=f"c: not valid before {NOW + datetime.timedelta(days=1):%Y-%m-%d}"):
        keyring.parse_certificate(SECOND[0], "c")
    assert keyring.parse_certificate(SECOND[0], "c", must_be_valid=False).not_before == NOW + datetime.timedelta(days=1)


def test_keys_of_a_list_come_newest_first_and_each_once() -> None:
    fingerprints = [keyring.parse_certificate(pair[0], "c", False).fingerprint for pair in (SECOND, FIRST)]
    keys = keyring.load_keys([("list", key_list(FIRST, SECOND, FIRST)), ("pem", FIRST[1])])
    assert sorted(key.fingerprint for key in keys) == sorted(fingerprints) and len(keys) == 2
    assert [key.fingerprint for key in keyring.load_keys([("list", key_list(FIRST, SECOND))])] == fingerprints
    certificates = dict(keyring.parse_certificates(key_list(FIRST, SECOND), "list"))
    assert [one.fingerprint for one in certificates.values()] == fingerprints[::-1]
    assert list(certificates) == ["list (key0)", "list (key1)"]


def test_secret_with_pem_in_a_value_is_not_taken_for_pem() -> None:
    assert keyring.is_pem(FIRST[0]) and not keyring.is_pem(b"hello")
    assert not keyring.is_pem(b"kind: Secret\nstringData:\n  a: |\n    " + FIRST[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "k:2: not PEM, and not valid YAML"),
        (b"kind: Secret\n", "k: no private key found"),
        (b"-----BEGIN PRIVATE KEY-----\nx\n", "k: not a private key in PEM"),
        (
            b"kind: Secret\nmetadata: {name: db}\ndata: {tls.key: '!'}\n",
            "k (db): the value of a key is not valid base64",
        ),
        (
            b"kind: Secret\nmetadata: {name: db}\ndata: {tls.key: " + base64.b64encode(b"x") + b"}\n",
            "k (db): not a private key in PEM",
        ),
        (b" " * (keyring.MAX_FILE_BYTES + 1), "k: larger than 4 MB"),
    ],
)
def test_content_without_a_usable_key_is_an_error_with_its_location(content: bytes, message: str) -> None:
    with pytest.raises(SecretFileError) as caught:
        keyring.load_keys([("k", content)])
    assert message in str(caught.value)
