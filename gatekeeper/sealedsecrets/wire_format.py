"""How a sealed value is put together, for whoever only looks at it; without any cryptography.

base64( length of the RSA part, two bytes ‖ RSA part ‖ AES part with its tag ).
Source: sealed-secrets `pkg/crypto/crypto.go`.
"""

from __future__ import annotations

import base64
import binascii

from gatekeeper.errors import SealError

HEADER_BYTES, KEY_BYTES, TAG_BYTES = 2, 32, 16


class NotBase64Error(SealError):
    """A text that is not even base64."""


def split_sealed_value(text: str) -> tuple[bytes, bytes]:
    """The RSA part and the AES part of a sealed value.

    Raises:
        NotBase64, SealError: the text has another form.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotBase64Error("is not valid base64, so it is no sealed value; seal it again") from None
    size = int.from_bytes(raw[:HEADER_BYTES], "big")
    if len(raw) < HEADER_BYTES or len(raw) < HEADER_BYTES + size + TAG_BYTES or size < KEY_BYTES:
        raise SealError("is no sealed value: it is shorter than its own header says; seal it again")
    return raw[HEADER_BYTES : HEADER_BYTES + size], raw[HEADER_BYTES + size :]
