"""Certificates that seal and private keys that unseal: parsed from PEM or from the controller's key Secrets.

Source: sealed-secrets `pkg/controller/keys.go`: TLS Secrets with the label `KEY_LABEL`.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from gatekeeper.errors import SecretFileError
from gatekeeper.model import get_field
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.workspace import documents

KEY_LABEL = "sealedsecrets.bitnami.com/sealed-secrets-key"
MIN_KEY_BITS = 2048
MAX_FILE_BYTES = 4 * 1024 * 1024


class SealingCertificate(NamedTuple):
    """A certificate that seals: its public key, the SHA-256 fingerprint of that key, and its validity."""

    public_key: RSAPublicKey
    fingerprint: str
    not_before: datetime.datetime
    not_after: datetime.datetime


class SealingKey(NamedTuple):
    """A private key that unseals, and its fingerprint. Its repr does not show the key."""

    private_key: RSAPrivateKey
    fingerprint: str

    def __repr__(self) -> str:
        return f"SealingKey({self.fingerprint})"


def parse_certificate(content: bytes, name: str, must_be_valid: bool = True) -> SealingCertificate:
    """Parse the first certificate of a PEM file.

    Args:
        name: the file, for messages.
        must_be_valid: whether the certificate must be valid now.

    Raises:
        SecretFileError: the content is not a certificate, is not valid now, or its key is not RSA of 2048 bits or more.
    """
    try:
        parsed = x509.load_pem_x509_certificate(content)
        key = parsed.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise SecretFileError(
            f"{name}: not a PEM certificate; get the controller's certificate with `kubeseal --fetch-cert`"
        ) from None
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_KEY_BITS:
        raise SecretFileError(f"{name}: the key must be RSA of {MIN_KEY_BITS} bits or more")
    certificate = SealingCertificate(
        key, compute_fingerprint(key), parsed.not_valid_before_utc, parsed.not_valid_after_utc
    )
    if not must_be_valid:
        return certificate
    now = datetime.datetime.now(tz=datetime.UTC)
    if now > certificate.not_after:
        raise SecretFileError(
            f"{name}: expired on {certificate.not_after:%Y-%m-%d}; get the controller's newest certificate"
        )
    if now < certificate.not_before:
        raise SecretFileError(f"{name}: not valid before {certificate.not_before:%Y-%m-%d}")
    return certificate


def compute_fingerprint(key: RSAPublicKey) -> str:
    """Return the fingerprint of a key: the SHA-256 of its DER form, in hexadecimal."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def load_keys(contents: Sequence[tuple[str, bytes]]) -> list[SealingKey]:
    """Load all private keys from files: PEM, the controller's Secrets, or a List of Secrets; the newest Secret first.

    Args:
        contents: the name of each file, for messages, and its content.

    Raises:
        SecretFileError: a file holds no usable key.
    """
    dated_keys: list[tuple[str, SealingKey]] = []
    for name, content in contents:
        if len(content) > MAX_FILE_BYTES:
            raise SecretFileError(f"{name}: larger than {MAX_FILE_BYTES >> 20} MB, which no key file is")
        if is_pem(content):
            dated_keys.append(("", _parse_private_key(content, name)))
        else:
            dated_keys.extend(_parse_key_secrets(content, name))
    if not dated_keys:
        raise SecretFileError(f"{', '.join(name for name, _ in contents)}: no private key found")
    newest_first = sorted(dated_keys, key=lambda pair: pair[0], reverse=True)
    return list({key.fingerprint: key for _, key in newest_first}.values())


def create_key_pair(bits: int, days: int, now: datetime.datetime) -> tuple[bytes, bytes]:
    """Create a certificate and its private key (PKCS #1), both in PEM, as the controller creates them.

    Args:
        bits: the size of the RSA key.
        days: the validity of the certificate, from `now` on.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    name = x509.Name([])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=True,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=True,
        decipher_only=False,
    )
    certificate = (
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
    key_format = serialization.PrivateFormat.TraditionalOpenSSL
    private_pem = key.private_bytes(serialization.Encoding.PEM, key_format, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM), private_pem


def build_key_secret(certificate_pem: bytes, private_pem: bytes, name: str, namespace: str) -> dict[str, Any]:
    """Build the Secret in which the controller stores a key; the controller also uses one that a user applies."""
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
        raise SecretFileError(
            f"{name}: the key is encrypted with a passphrase; store it without a passphrase"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise SecretFileError(f"{name}: not a private key in PEM") from None
    if not isinstance(key, RSAPrivateKey):
        raise SecretFileError(f"{name}: not an RSA key")
    return SealingKey(key, compute_fingerprint(key.public_key()))


def _parse_key_secrets(content: bytes, name: str) -> Iterator[tuple[str, SealingKey]]:
    """Yield each key with the creation time of its Secret."""
    for location, created_at, pem in _list_secret_fields(content, name, "tls.key"):
        yield created_at, _parse_private_key(pem, location)


def parse_certificates(content: bytes, name: str) -> Iterator[tuple[str, SealingCertificate]]:
    """Yield each certificate of a file, valid or not, with its location: PEM, or the controller's Secrets.

    Raises:
        SecretFileError: a certificate cannot be parsed.
    """
    if is_pem(content):
        yield name, parse_certificate(content, name, must_be_valid=False)
        return
    for location, _, pem in _list_secret_fields(content, name, "tls.crt"):
        yield location, parse_certificate(pem, location, must_be_valid=False)


def is_pem(content: bytes) -> bool:
    """Return whether a content is PEM, and not a Secret with PEM in a value."""
    before, mark, _ = content.partition(b"-----BEGIN")
    return bool(mark) and b"kind" not in before


def _list_secret_fields(content: bytes, name: str, field: str) -> Iterator[tuple[str, str, bytes]]:
    """Yield one field of each Secret in a file, also in a List: location, creation time, and decoded value."""
    parsed, failure = documents.parse(content)
    if failure is not None:
        raise SecretFileError(f"{name}:{failure[1]}: not PEM, and not valid YAML: {failure[0]}")
    for value in map(documents.to_value, parsed):
        items = get_field(value, ("items",)) if get_field(value, ("kind",)) == "List" else [value]
        for item in items if isinstance(items, list) else ():
            text = get_field(item, ("data", field))
            if get_field(item, ("kind",)) == "Secret" and isinstance(text, str):
                location = f"{name} ({get_field(item, ('metadata', 'name'))})"
                created_at = str(get_field(item, ("metadata", "creationTimestamp")) or "")
                yield location, created_at, _decode_base64(text, location)


def _decode_base64(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SecretFileError(f"{name}: the value of a key is not valid base64") from None
