"""The byte layout of a sealed value, for callers that only inspect it; this module needs no cryptography.

base64( length of the RSA part, two bytes ‖ RSA part ‖ AES part with its tag ).
Source: sealed-secrets `pkg/crypto/crypto.go`.
"""

from __future__ import annotations

import base64
import binascii

from gatekeeper.errors import SecretFileError

HEADER_BYTES, KEY_BYTES, TAG_BYTES = 2, 32, 16


class NotBase64Error(SecretFileError):
    """A text that is not valid base64."""


def split_sealed_value(text: str) -> tuple[bytes, bytes]:
    """Split a sealed value into its RSA part and its AES part.

    Raises:
        NotBase64Error: the text is not base64.
        SecretFileError: the text is shorter than its header says.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotBase64Error("is not valid base64, so it is not a sealed value; seal it again") from None
    size = int.from_bytes(content[:HEADER_BYTES], "big")
    if len(content) < HEADER_BYTES or len(content) < HEADER_BYTES + size + TAG_BYTES or size < KEY_BYTES:
        raise SecretFileError("is not a sealed value: it is shorter than its header says; seal it again")
    return content[HEADER_BYTES : HEADER_BYTES + size], content[HEADER_BYTES + size :]
