"""Frames of the protocol with the Go program: a length of four bytes, big-endian, and lines of JSON.

A request has two lines, so that the program reads the first, which is short, without the payload; an answer has one.
"""

from __future__ import annotations

from typing import IO, Any

import orjson

from gatekeeper.errors import ToolError

LENGTH_BYTES = 4
MAX_FRAME_BYTES = 256 * 1024 * 1024


def encode_frame(*lines: Any) -> bytes:
    """A message as a frame.

    Raises:
        ToolError: the message is too large, or no JSON.
    """
    try:
        body = b"\n".join([orjson.dumps(line) for line in lines])
    except (TypeError, ValueError) as error:
        raise ToolError(f"a request for gatekeeper-upstream is no JSON: {error}") from error
    if len(body) > MAX_FRAME_BYTES:
        raise ToolError(f"a request of {len(body)} bytes is too large for gatekeeper-upstream; split the file")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def read_frame(stream: IO[bytes]) -> Any | None:
    """The next message; None at the end of the stream.

    Raises:
        ValueError: what was read is not a frame.
    """
    header = stream.read(LENGTH_BYTES)
    if not header:
        return None
    size = int.from_bytes(header, "big")
    if len(header) < LENGTH_BYTES or size > MAX_FRAME_BYTES:
        raise ValueError("the answer is not a frame")
    body = stream.read(size)
    if len(body) < size:
        raise ValueError("the answer is incomplete")
    return orjson.loads(body)
