"""Hides plaintext values of Secrets in the objects that commands print or write."""

from __future__ import annotations

from typing import Any

from gatekeeper.model import get_field

HIDDEN_VALUE = "(hidden by gatekeeper)"
# kubectl stores a copy of the whole object in this annotation.
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def hide_secret_values(value: dict[str, Any]) -> dict[str, Any]:
    """Replaces the values of a Secret, except SOPS ciphertext, by a placeholder; changes and returns the object."""
    if value.get("kind") == "Secret":
        for section in ("data", "stringData"):
            entries = value.get(section)
            if isinstance(entries, dict):
                value[section] = {key: _hide_text(text) for key, text in entries.items()}
            elif entries is not None:
                value[section] = HIDDEN_VALUE
        applied = get_field(value, ("metadata", "annotations"))
        if isinstance(applied, dict) and LAST_APPLIED in applied:
            applied[LAST_APPLIED] = HIDDEN_VALUE
    return value


def _hide_text(text: Any) -> Any:
    return text if isinstance(text, str) and text.startswith("ENC[AES256_GCM,") else HIDDEN_VALUE
