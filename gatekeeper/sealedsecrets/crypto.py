"""Encryption and decryption of one sealed value, compatible with kubeseal and the sealed-secrets controller.

    base64( length of the RSA part, two bytes ‖ RSA-OAEP-SHA256(session key, label) ‖ AES-256-GCM(session key, value) )

The nonce is zero because each session key is used once. Source: sealed-secrets `pkg/crypto/crypto.go`.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gatekeeper.errors import SecretFileError
from gatekeeper.sealedsecrets.wire_format import HEADER_BYTES, KEY_BYTES, split_sealed_value
from gatekeeper.secret_value import SecretBytes

NONCE = bytes(12)
# The size limit of a Secret in Kubernetes.
MAX_VALUE_BYTES = 1024 * 1024


class WrongKeyError(SecretFileError):
    """No available key decrypts a value: it is sealed for a different key, name or namespace."""


def seal_value(value: SecretBytes, key: RSAPublicKey, label: bytes) -> str:
    """Encrypt a value for the owner of a public key.

    Args:
        label: binds the value to its scope; see `scope.build_label`.

    Raises:
        SecretFileError: the value is larger than a Secret can be.
    """
    if len(value) > MAX_VALUE_BYTES:
        raise SecretFileError(f"the value has {len(value)} bytes; a Secret holds at most {MAX_VALUE_BYTES}")
    session_key = os.urandom(KEY_BYTES)
    encrypted_key = key.encrypt(session_key, _build_padding(label))
    ciphertext = AESGCM(session_key).encrypt(NONCE, value.reveal(), None)
    header = len(encrypted_key).to_bytes(HEADER_BYTES, "big")
    return base64.b64encode(header + encrypted_key + ciphertext).decode("ascii")


def unseal_value(text: str, keys: Iterable[RSAPrivateKey], label: bytes) -> tuple[SecretBytes, RSAPrivateKey]:
    """Decrypt a value; return it and the key that decrypted it.

    Args:
        keys: the keys to try, in order.

    Raises:
        WrongKeyError: no key decrypts it under this label.
        SecretFileError: the text is not a sealed value, or was changed.
    """
    encrypted_key, ciphertext = split_sealed_value(text)
    has_key_of_size = False
    for key in keys:
        if key.key_size != len(encrypted_key) * 8:
            continue
        has_key_of_size = True
        try:
            session_key = key.decrypt(encrypted_key, _build_padding(label))
        except ValueError:
            continue
        try:
            return SecretBytes(AESGCM(session_key).decrypt(NONCE, ciphertext, None)), key
        except (InvalidTag, ValueError):
            raise SecretFileError("was changed after it was sealed: its tag does not match; seal it again") from None
    if not has_key_of_size:
        raise WrongKeyError(f"is sealed for a key of {len(encrypted_key) * 8} bits, and no key has this size")
    raise WrongKeyError("no key decrypts it: it is sealed for a different key, name, namespace or scope")


def _build_padding(label: bytes) -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=label or None)
