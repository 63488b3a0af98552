"""The byte layout of sealed values."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.errors import SecretFileError
from gatekeeper.sealedsecrets.wire_format import HEADER_BYTES, KEY_BYTES, TAG_BYTES, NotBase64Error, split_sealed_value


@given(st.binary(min_size=KEY_BYTES, max_size=600), st.binary(min_size=TAG_BYTES, max_size=80))
def test_split_returns_the_two_parts_that_were_joined(rsa_part: bytes, aes_part: bytes) -> None:
    content = len(rsa_part).to_bytes(HEADER_BYTES, "big") + rsa_part + aes_part
    assert split_sealed_value(base64.b64encode(content).decode()) == (rsa_part, aes_part)


@given(st.binary(max_size=400))
def test_split_returns_parts_that_fit_or_refuses(content: bytes) -> None:
    try:
        rsa_part, aes_part = split_sealed_value(base64.b64encode(content).decode())
    except SecretFileError:
        return
    assert len(rsa_part).to_bytes(HEADER_BYTES, "big") + rsa_part + aes_part == content
    assert len(rsa_part) >= KEY_BYTES and len(aes_part) >= TAG_BYTES


@pytest.mark.parametrize("text", ["hello!", "ü", "AA=A"])
def test_text_that_is_not_base64_has_its_own_error(text: str) -> None:
    with pytest.raises(NotBase64Error, match="is not valid base64"):
        split_sealed_value(text)
