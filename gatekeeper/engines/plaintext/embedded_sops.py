"""SOPS documents where they are the value of something else: a generator puts whole encrypted files into Secrets.

Source: getsops/sops `stores/`: YAML and JSON (binary files too) keep `sops` as a mapping, dotenv as `sops_...` lines,
INI as a section `[sops]` at the end.
"""

from __future__ import annotations

import re

import orjson

from gatekeeper.workspace import documents

MARK = "ENC[AES256_GCM,"
DOTENV_MAC = re.compile(r"^sops_mac=ENC\[", re.MULTILINE)
INI = re.compile(r"^\[sops\]\s*$.*^mac\s*=\s*ENC\[", re.MULTILINE | re.DOTALL)


def hides_something(text: str) -> bool | None:
    """Whether a SOPS document encrypts any of its values; None where the text is no SOPS document with its MAC."""
    if MARK not in text:
        return None
    if DOTENV_MAC.search(text):
        return any(MARK in line for line in text.splitlines() if not line.startswith("sops_"))
    if INI.search(text):
        return MARK in text[: text.index("[sops]")]
    parsed, failure = documents.parse(text.encode())
    value = documents.value_of(parsed[0]) if parsed and failure is None else None
    held = value.pop("sops", None) if isinstance(value, dict) else None
    if not isinstance(held, dict) or not str(held.get("mac")).startswith(MARK):
        return None
    return MARK in orjson.dumps(value).decode()
