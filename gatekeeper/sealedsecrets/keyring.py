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
from gatekeeper.model import get_field
from gatekeeper.workspace import documents

KEY_LABEL = "sealedsecrets.bitnami.com/sealed-secrets-key"
MIN_KEY_BITS = 2048
MAX_FILE_BYTES = 4 * 1024 * 1024


class SealingCertificate(NamedTuple):
    """A certificate to seal with: its key, its fingerprint (SHA-256 of the key's DER), and how long it is valid."""

    public_key: RSAPublicKey
    fingerprint: str
    not_before: datetime.datetime
    not_after: datetime.datetime


class SealingKey(NamedTuple):
    """A private key to open with, and its fingerprint. It is never printed."""

    private_key: RSAPrivateKey
    fingerprint: str

    def __repr__(self) -> str:
        return f"Key({self.fingerprint})"


def parse_certificate(content: bytes, name: str, must_be_valid: bool = True) -> SealingCertificate:
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
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_KEY_BITS:
        raise SealError(f"{name}: its key must be RSA of {MIN_KEY_BITS} bits or more")
    one = SealingCertificate(key, compute_fingerprint(key), found.not_valid_before_utc, found.not_valid_after_utc)
    if not must_be_valid:
        return one
    now = datetime.datetime.now(tz=datetime.UTC)
    if now > one.not_after:
        raise SealError(f"{name}: expired on {one.not_after:%Y-%m-%d}; get the controller's newest certificate")
    if now < one.not_before:
        raise SealError(f"{name}: is valid from {one.not_before:%Y-%m-%d} on only")
    return one


def compute_fingerprint(key: RSAPublicKey) -> str:
    """A key's name: SHA-256 over its DER, in hexadecimal."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def load_keys(contents: Sequence[tuple[str, bytes]]) -> list[SealingKey]:
    """All private keys in some texts: PEM, the controller's Secrets, or a List of these; the newest Secret first.

    Args:
        contents: each with its name, for messages.

    Raises:
        SealError: a text holds no key that can be used.
    """
    found: list[tuple[str, SealingKey]] = []
    for name, content in contents:
        if len(content) > MAX_FILE_BYTES:
            raise SealError(f"{name}: larger than {MAX_FILE_BYTES >> 20} MB, so it is no file with keys")
        if is_pem(content):
            found.append(("", _parse_private_key(content, name)))
        else:
            found.extend(_parse_key_secrets(content, name))
    if not found:
        raise SealError(f"{', '.join(name for name, _ in contents)}: no private key there")
    by_age = sorted(found, key=lambda pair: pair[0], reverse=True)
    return list({key.fingerprint: key for _, key in by_age}.values())


def create_key_pair(bits: int, days: int, now: datetime.datetime) -> tuple[bytes, bytes]:
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


def build_key_secret(certificate_pem: bytes, private_pem: bytes, name: str, namespace: str) -> dict[str, Any]:
    """The Secret in which the controller keeps a key; it takes one that is applied as its own."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": {KEY_LABEL: "active"}},
        "type": "kubernetes.io/tls",
        "data": {
            "tls.crt": base64.b64encode(certificate_pem).decode("ascii"),
            "tls.key": base64.b64encode(private_pem).decode("ascii"),
        },
    }


def _parse_private_key(content: bytes, name: str) -> SealingKey:
    try:
        key = serialization.load_pem_private_key(content, None)
    except TypeError:
        raise SealError(f"{name}: the key is encrypted with a passphrase; write it without one first") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SealError(f"{name}: is no private key in PEM") from None
    if not isinstance(key, RSAPrivateKey):
        raise SealError(f"{name}: is no RSA key")
    return SealingKey(key, compute_fingerprint(key.public_key()))


def _parse_key_secrets(content: bytes, name: str) -> Iterator[tuple[str, SealingKey]]:
    """Each key with the time of its Secret."""
    for where, made, pem in _list_secret_fields(content, name, "tls.key"):
        yield made, _parse_private_key(pem, where)


def parse_certificates(content: bytes, name: str) -> Iterator[tuple[str, SealingCertificate]]:
    """Each certificate of a text, valid or not, with its name: PEM, or the controller's Secrets.

    Raises:
        SealError: one of them is none.
    """
    if is_pem(content):
        yield name, parse_certificate(content, name, must_be_valid=False)
        return
    for where, _, pem in _list_secret_fields(content, name, "tls.crt"):
        yield where, parse_certificate(pem, where, must_be_valid=False)


def is_pem(content: bytes) -> bool:
    """Whether a text is PEM, and not a Secret that holds some."""
    before, mark, _ = content.partition(b"-----BEGIN")
    return bool(mark) and b"kind" not in before


def _list_secret_fields(content: bytes, name: str, field: str) -> Iterator[tuple[str, str, bytes]]:
    """A field of each Secret in a text, also in a List: the Secret's name, when it was made, and what is held."""
    parsed, failure = documents.parse(content)
    if failure is not None:
        raise SealError(f"{name}:{failure[1]}: is neither PEM nor YAML: {failure[0]}")
    for value in map(documents.to_value, parsed):
        items = get_field(value, ("items",)) if get_field(value, ("kind",)) == "List" else [value]
        for item in items if isinstance(items, list) else ():
            text = get_field(item, ("data", field))
            if get_field(item, ("kind",)) == "Secret" and isinstance(text, str):
                where = f"{name} ({get_field(item, ('metadata', 'name'))})"
                yield where, str(get_field(item, ("metadata", "creationTimestamp")) or ""), _decode_base64(text, where)


def _decode_base64(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SealError(f"{name}: a key in it is not valid base64") from None
