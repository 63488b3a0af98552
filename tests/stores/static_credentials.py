"""Credentials of a test's own, in place of a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gatekeeper.secret_value import SecretBytes
from gatekeeper.stores.protocol import StoreError


class Held:
    """Values of Secrets and tokens of ServiceAccounts, by their name alone."""

    def __init__(self, values: Mapping[str, str], notes: Mapping[str, str] | None = None) -> None:
        self.values = dict(values)
        self.notes = dict(notes or {})
        self.asked: list[tuple[str, tuple[str, ...], int]] = []

    def read_secret(self, namespace: str, name: str, key: str) -> SecretBytes:
        if name not in self.values:
            raise StoreError(f"needs `{key}` of the Secret {name} to sign in, which is missing")
        return SecretBytes(self.values[name].encode())

    def read_text(self, kind: str, namespace: str, name: str, key: str) -> str:
        return self.read_secret(namespace, name, key).reveal().decode()

    def create_token(self, namespace: str, name: str, audiences: Sequence[str], lifetime_seconds: int) -> SecretBytes:
        self.asked.append((name, tuple(audiences), lifetime_seconds))
        return self.read_secret(namespace, name, "token")

    def read_annotations(self, namespace: str, name: str) -> Mapping[str, str]:
        return self.notes
