"""Detects SOPS documents that are the value of a Secret, as generators write them.

Source: getsops/sops `stores/`: YAML and JSON (binary files too) keep `sops` as a mapping, dotenv as `sops_...` lines,
INI as a section `[sops]` at the end.
"""

from __future__ import annotations

import re

import orjson

from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.workspace import documents

CIPHERTEXT_MARK = "ENC[AES256_GCM,"
DOTENV_MAC = compile_lazily(r"^sops_mac=ENC\[", re.MULTILINE)
INI_SECTION = compile_lazily(r"^\[sops\]\s*$.*^mac\s*=\s*ENC\[", re.MULTILINE | re.DOTALL)


def has_encrypted_values(text: str) -> bool | None:
    """Whether a SOPS document has encrypted values; None if the text is not a SOPS document with a MAC."""
    if CIPHERTEXT_MARK not in text:
        return None
    if DOTENV_MAC.search(text):
        return any(CIPHERTEXT_MARK in line for line in text.splitlines() if not line.startswith("sops_"))
    if INI_SECTION.search(text):
        return CIPHERTEXT_MARK in text[: text.index("[sops]")]
    parsed, failure = documents.parse(text.encode())
    value = documents.to_value(parsed[0]) if parsed and failure is None else None
    metadata = value.pop("sops", None) if isinstance(value, dict) else None
    if not isinstance(metadata, dict) or not str(metadata.get("mac")).startswith(CIPHERTEXT_MARK):
        return None
    return CIPHERTEXT_MARK in orjson.dumps(value).decode()
