"""One sealed value, as kubeseal and the sealed-secrets controller write it.

    base64( length of the RSA part, two bytes ‖ RSA-OAEP-SHA256(session key, label) ‖ AES-256-GCM(session key, value) )

The nonce is all zeros, because a session key is used once. Source: sealed-secrets `pkg/crypto/crypto.go`.
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

from gatekeeper.errors import SealError
from gatekeeper.sealedsecrets.wire_format import HEADER_BYTES, KEY_BYTES, split_sealed_value
from gatekeeper.secret_value import SecretBytes


class WrongKeyError(SealError):
    """No key at hand opens a value: it is for another key, or was sealed for another place."""


NONCE = bytes(12)
# What Kubernetes takes in one Secret.
MAX_VALUE_BYTES = 1024 * 1024


def seal_value(value: SecretBytes, key: RSAPublicKey, label: bytes) -> str:
    """A value, sealed for the owner of a key under a label.

    Raises:
        SealError: it is larger than a Secret can be.
    """
    if len(value) > MAX_VALUE_BYTES:
        raise SealError(f"a value of {len(value)} bytes: a Secret holds {MAX_VALUE_BYTES} at most")
    session = os.urandom(KEY_BYTES)
    locked = key.encrypt(session, _build_padding(label))
    closed = AESGCM(session).encrypt(NONCE, value.reveal(), None)
    return base64.b64encode(len(locked).to_bytes(HEADER_BYTES, "big") + locked + closed).decode("ascii")


def unseal_value(text: str, keys: Iterable[RSAPrivateKey], label: bytes) -> tuple[SecretBytes, RSAPrivateKey]:
    """The value and the key that opened it, of several keys the first that fits.

    Raises:
        WrongKey: none of the keys opens it under this label.
        SealError: the text is no sealed value, or was changed.
    """
    locked, closed = split_sealed_value(text)
    tried = 0
    for key in keys:
        if key.key_size != len(locked) * 8:
            continue
        tried += 1
        try:
            session = key.decrypt(locked, _build_padding(label))
        except ValueError:
            continue
        try:
            return SecretBytes(AESGCM(session).decrypt(NONCE, closed, None)), key
        except (InvalidTag, ValueError):
            raise SealError("was changed after it was sealed: its tag does not fit; seal it again") from None
    if not tried:
        raise WrongKeyError(f"is sealed for a key of {len(locked) * 8} bits, and there is none among the keys")
    raise WrongKeyError(
        "none of the keys opens it: it is sealed for another key, or for another name, namespace or scope"
    )


def _build_padding(label: bytes) -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=label or None)
