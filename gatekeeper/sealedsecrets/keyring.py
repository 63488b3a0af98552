"""Certificates to seal with, and private keys to open with: in PEM, or in the controller's own Secrets.

Source: sealed-secrets `pkg/controller/keys.go`: TLS Secrets with the label that `LABEL` names.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from gatekeeper.errors import SealError
from gatekeeper.model import at
from gatekeeper.workspace import documents

LABEL = "sealedsecrets.bitnami.com/sealed-secrets-key"
LEAST_BITS = 2048
MOST_BYTES = 4 * 1024 * 1024


class Certificate(NamedTuple):
    """A certificate to seal with: its key, its fingerprint (SHA-256 of the key's DER), and how long it is valid."""

    key: RSAPublicKey
    fingerprint: str
    starts: datetime.datetime
    ends: datetime.datetime


class Key(NamedTuple):
    """A private key to open with, and its fingerprint. It is never printed."""

    private: RSAPrivateKey
    fingerprint: str

    def __repr__(self) -> str:
        return f"Key({self.fingerprint})"


def certificate(content: bytes, name: str, must_be_valid: bool = True) -> Certificate:
    """The first certificate of a PEM file.

    Raises:
        SealError: it is none, has no RSA key of 2048 bits or more, or is not valid now.
    """
    try:
        found = x509.load_pem_x509_certificate(content)
        key = found.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise SealError(
            f"{name}: is no certificate in PEM; get the controller's with `kubeseal --fetch-cert`"
        ) from None
    if not isinstance(key, RSAPublicKey) or key.key_size < LEAST_BITS:
        raise SealError(f"{name}: its key must be RSA of {LEAST_BITS} bits or more")
    one = Certificate(key, fingerprint(key), found.not_valid_before_utc, found.not_valid_after_utc)
    if not must_be_valid:
        return one
    now = datetime.datetime.now(tz=datetime.UTC)
    if now > one.ends:
        raise SealError(f"{name}: expired on {one.ends:%Y-%m-%d}; get the controller's newest certificate")
    if now < one.starts:
        raise SealError(f"{name}: is valid from {one.starts:%Y-%m-%d} on only")
    return one


def fingerprint(key: RSAPublicKey) -> str:
    """A key's name: SHA-256 over its DER, in hexadecimal."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def load(contents: Sequence[tuple[str, bytes]]) -> list[Key]:
    """All private keys in some texts: PEM, the controller's Secrets, or a List of these; the newest Secret first.

    Args:
        contents: each with its name, for messages.

    Raises:
        SealError: a text holds no key that can be used.
    """
    found: list[tuple[str, Key]] = []
    for name, content in contents:
        if len(content) > MOST_BYTES:
            raise SealError(f"{name}: larger than {MOST_BYTES >> 20} MB, so it is no file with keys")
        if is_pem(content):
            found.append(("", _private(content, name)))
        else:
            found.extend(_secrets(content, name))
    if not found:
        raise SealError(f"{', '.join(name for name, _ in contents)}: no private key there")
    by_age = sorted(found, key=lambda pair: pair[0], reverse=True)
    return list({key.fingerprint: key for _, key in by_age}.values())


def new(bits: int, days: int, now: datetime.datetime) -> tuple[bytes, bytes]:
    """A new certificate and its private key (PKCS #1), both in PEM, as the controller makes them for itself."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    name = x509.Name([])
    usage = x509.KeyUsage(False, False, False, False, True, False, False, True, False)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(usage, critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.TraditionalOpenSSL
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return made.public_bytes(serialization.Encoding.PEM), private


def key_secret(certificate_pem: bytes, private_pem: bytes, name: str, namespace: str) -> dict[str, Any]:
    """The Secret in which the controller keeps a key; it takes one that is applied as its own."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": {LABEL: "active"}},
        "type": "kubernetes.io/tls",
        "data": {
            "tls.crt": base64.b64encode(certificate_pem).decode("ascii"),
            "tls.key": base64.b64encode(private_pem).decode("ascii"),
        },
    }


def _private(content: bytes, name: str) -> Key:
    try:
        key = serialization.load_pem_private_key(content, None)
    except TypeError:
        raise SealError(f"{name}: the key is encrypted with a passphrase; write it without one first") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SealError(f"{name}: is no private key in PEM") from None
    if not isinstance(key, RSAPrivateKey):
        raise SealError(f"{name}: is no RSA key")
    return Key(key, fingerprint(key.public_key()))


def _secrets(content: bytes, name: str) -> Iterator[tuple[str, Key]]:
    """Each key with the time of its Secret."""
    for where, made, pem in _held(content, name, "tls.key"):
        yield made, _private(pem, where)


def certificates(content: bytes, name: str) -> Iterator[tuple[str, Certificate]]:
    """Each certificate of a text, valid or not, with its name: PEM, or the controller's Secrets.

    Raises:
        SealError: one of them is none.
    """
    if is_pem(content):
        yield name, certificate(content, name, must_be_valid=False)
        return
    for where, _, pem in _held(content, name, "tls.crt"):
        yield where, certificate(pem, where, must_be_valid=False)


def is_pem(content: bytes) -> bool:
    """Whether a text is PEM, and not a Secret that holds some."""
    before, mark, _ = content.partition(b"-----BEGIN")
    return bool(mark) and b"kind" not in before


def _held(content: bytes, name: str, field: str) -> Iterator[tuple[str, str, bytes]]:
    """A field of each Secret in a text, also in a List: the Secret's name, when it was made, and what is held."""
    parsed, failure = documents.parse(content)
    if failure is not None:
        raise SealError(f"{name}:{failure[1]}: is neither PEM nor YAML: {failure[0]}")
    for value in map(documents.value_of, parsed):
        items = at(value, ("items",)) if at(value, ("kind",)) == "List" else [value]
        for item in items if isinstance(items, list) else ():
            text = at(item, ("data", field))
            if at(item, ("kind",)) == "Secret" and isinstance(text, str):
                where = f"{name} ({at(item, ('metadata', 'name'))})"
                yield where, str(at(item, ("metadata", "creationTimestamp")) or ""), _decoded(text, where)


def _decoded(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SealError(f"{name}: a key in it is not valid base64") from None
