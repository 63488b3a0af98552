"""Stand-ins for values that no file of the repository has in clear: those of sealed, encrypted and fetched Secrets.

A chart is rendered with a text in the place of such a value. No finding may rest on that text.
"""

from __future__ import annotations

import base64
import re
from typing import Any

import orjson

# A valid DNS label, which most charts accept, with a length that is a multiple of three: so base64 begins with its own.
PREFIX = "gatekeeper-unknown"
MARKS = (PREFIX.encode(), base64.b64encode(PREFIX.encode()))
MAX_LENGTH = 63


def build_stand_in(kind: str, name: str, key: str) -> str:
    """The text in the place of a value of an object."""
    words = re.sub(r"[^a-z0-9]+", "-", f"{PREFIX}-{kind}-{name}-{key}".lower())
    return words[:MAX_LENGTH].strip("-")


def has_stand_in(value: Any) -> bool:
    """Whether a value, as it is or in base64, contains a stand-in.

    Args:
        value: of a field, or the JSON text of an object.
    """
    text = value if isinstance(value, bytes) else orjson.dumps(value)
    return any(mark in text for mark in MARKS)
