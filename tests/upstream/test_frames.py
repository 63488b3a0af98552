"""Frames are read back as they were written, and nothing else is read as one."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.errors import ToolError
from gatekeeper.upstream import frames
from gatekeeper.upstream.frames import encode_frame, read_frame

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.lists(VALUES))
def test_messages_are_read_back(messages: list[Any]) -> None:
    stream = io.BytesIO(b"".join(encode_frame([message]) for message in messages))
    assert [read_frame(stream) for _ in messages] == [[message] for message in messages]
    assert read_frame(stream) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"\0\0", "is not a frame"),
        (b"hello, world", "is not a frame"),
        (b"\0\0\0\x09{}", "is incomplete"),
        (b"\0\0\0\x02no", "unexpected character|invalid"),
    ],
)
def test_what_is_no_frame_is_an_error(text: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_frame(io.BytesIO(text))


def test_a_message_that_is_too_large_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 10)
    with pytest.raises(ToolError, match="a request of 13 bytes is too large"):
        encode_frame("x" * 11)
